from fastapi import FastAPI

from birds import names

app = FastAPI()


@app.get("/")
def hello() -> dict[str, str]:
    return {"hello": "fastapi"}


@app.get("/birds/{n}")
def bird(n: int) -> dict[str, str]:
    return {"name": names[n]}
