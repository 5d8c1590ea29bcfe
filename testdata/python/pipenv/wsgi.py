import bottle

application = bottle.Bottle()


@application.get("/")
def hello():
    return "hello from pipenv"
