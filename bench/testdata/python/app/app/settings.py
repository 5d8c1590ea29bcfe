from pydantic import RedisDsn, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    database_url: str = "postgresql+psycopg://127.0.0.1/app"
    redis_url: RedisDsn = RedisDsn("redis://127.0.0.1")
    secret: SecretStr = SecretStr("not a secret, not at all, not one bit")
    log_level: int = 20


settings = Settings()
