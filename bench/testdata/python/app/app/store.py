from dataclasses import asdict, dataclass

import orjson
from redis.asyncio import Redis
from sqlalchemy import String
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from .settings import settings


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "birds"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))


@dataclass
class Bird:
    id: int
    name: str


engine = create_async_engine(settings.database_url, pool_size=8)
sessions = async_sessionmaker(engine, expire_on_commit=False)
cache = Redis.from_url(str(settings.redis_url))


async def find(id: int) -> Bird | None:
    key = f"bird:{id}"
    if kept := await cache.get(key):
        return Bird(**orjson.loads(kept))
    async with sessions() as session:
        row = await session.get(Row, id)
    if row is None:
        return None
    bird = Bird(row.id, row.name)
    await cache.set(key, orjson.dumps(asdict(bird)), ex=60)
    return bird


async def add(name: str) -> Bird:
    async with sessions.begin() as session:
        row = Row(name=name)
        session.add(row)
    return Bird(row.id, row.name)


async def close() -> None:
    await cache.aclose()
    await engine.dispose()
