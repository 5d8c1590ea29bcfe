from typing import Annotated

import httpx
import jwt
from fastapi import APIRouter, Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field, HttpUrl

from . import store
from .settings import settings


class NewBird(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=80)]
    song: HttpUrl | None = None


def signed_in(given: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> None:
    try:
        jwt.decode(given.credentials, settings.secret.get_secret_value(), algorithms=["HS256"])
    except jwt.InvalidTokenError as e:
        raise HTTPException(401, "sign in") from e


birds = APIRouter(prefix="/birds")


@birds.get("/{id}")
async def find(id: int) -> store.Bird:
    found = await store.find(id)
    if found is None:
        raise HTTPException(404, "no such bird")
    return found


@birds.post("", status_code=201, dependencies=[Depends(signed_in)])
async def add(given: NewBird) -> store.Bird:
    if given.song is not None:
        async with httpx.AsyncClient() as client:
            song = await client.head(str(given.song))
        if not song.is_success:
            raise HTTPException(400, "the song is not there")
    return await store.add(given.name)
