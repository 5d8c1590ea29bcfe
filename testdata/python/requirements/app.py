import bottle
import requests
import socks

app = bottle.Bottle()


@app.get("/")
def hello():
    return f"requests {requests.__version__}, {socks.SOCKS5} proxies"
