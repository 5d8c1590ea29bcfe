from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from . import store
from .birds import birds
from .log import log
from .metrics import metrics, observed

revision = "0"


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    log.info("started", revision=revision)
    yield
    await store.close()


app = FastAPI(lifespan=lifespan)
app.middleware("http")(observed)
app.include_router(metrics)
app.include_router(birds)


@app.get("/")
async def hello() -> str:
    return "hello from fastapi"
