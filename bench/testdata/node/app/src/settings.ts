import "dotenv/config";
import { z } from "zod";

const schema = z.object({
  PORT: z.coerce.number().int().default(3000),
  DATABASE_URL: z.string().default("postgres://127.0.0.1/app"),
  REDIS_URL: z.string().default("redis://127.0.0.1"),
  SECRET: z.string().min(16).default("not a secret, not at all"),
});

const given = schema.parse(process.env);

export const settings = {
  port: given.PORT,
  database: given.DATABASE_URL,
  redis: given.REDIS_URL,
  secret: new TextEncoder().encode(given.SECRET),
};
