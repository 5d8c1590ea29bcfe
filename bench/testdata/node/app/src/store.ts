import { Redis } from "ioredis";
import pg from "pg";

import { settings } from "./settings.js";

const pool = new pg.Pool({ connectionString: settings.database, max: 8 });
const cache = new Redis(settings.redis, { lazyConnect: true, maxRetriesPerRequest: 1 });

export interface Bird {
  id: number;
  name: string;
}

export async function find(id: number): Promise<Bird | undefined> {
  const key = `bird:${id}`;
  const kept = await cache.get(key);
  if (kept !== null) {
    return JSON.parse(kept) as Bird;
  }
  const { rows } = await pool.query<Bird>("select id, name from birds where id = $1", [id]);
  if (rows[0] !== undefined) {
    await cache.set(key, JSON.stringify(rows[0]), "EX", 60);
  }
  return rows[0];
}

export async function add(name: string): Promise<Bird> {
  const { rows } = await pool.query<Bird>("insert into birds (name) values ($1) returning id, name", [name]);
  return rows[0]!;
}
