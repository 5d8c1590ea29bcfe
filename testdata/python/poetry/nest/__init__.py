import bottle

app = bottle.Bottle()


@app.get("/")
def hello():
    return "hello from poetry"
