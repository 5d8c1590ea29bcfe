import bottle
import greeting
import requests
import socks

app = bottle.Bottle()


@app.get("/")
def hello():
    return f"{greeting.WORD} from requests {requests.__version__}, {socks.SOCKS5} proxies"
