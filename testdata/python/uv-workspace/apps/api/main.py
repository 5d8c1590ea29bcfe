from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from acme.birds import names


async def hello(request):
    return PlainTextResponse(", ".join(names()))


app = Starlette(routes=[Route("/", hello)])
