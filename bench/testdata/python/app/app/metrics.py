from collections.abc import Awaitable, Callable
from time import perf_counter

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Histogram, generate_latest

from .log import log

duration = Histogram("http_request_duration_seconds", "How long requests took.", ["method", "status"])


async def observed(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    start = perf_counter()
    response = await call_next(request)
    took = perf_counter() - start
    duration.labels(request.method, response.status_code).observe(took)
    log.info("request", method=request.method, path=request.url.path, status=response.status_code, took=took)
    return response


metrics = APIRouter()


@metrics.get("/metrics")
def all_metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
