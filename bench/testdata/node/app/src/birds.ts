import { Router } from "express";
import type { NextFunction, Request, Response } from "express";
import { jwtVerify } from "jose";
import { fetch } from "undici";
import { z } from "zod";

import { settings } from "./settings.js";
import { add, find } from "./store.js";

const bird = z.object({ name: z.string().min(1).max(80), song: z.string().url().optional() });

async function signedIn(request: Request, response: Response, next: NextFunction): Promise<void> {
  const token = request.get("authorization")?.replace(/^Bearer /, "") ?? "";
  try {
    await jwtVerify(token, settings.secret);
  } catch {
    response.status(401).json({ error: "sign in" });
    return;
  }
  next();
}

export const birds = Router();

birds.get("/:id", async (request, response) => {
  const found = await find(Number(request.params.id));
  if (found === undefined) {
    response.status(404).json({ error: "no such bird" });
    return;
  }
  response.json(found);
});

birds.post("/", signedIn, async (request, response) => {
  const given = bird.safeParse(request.body);
  if (!given.success) {
    response.status(400).json({ error: given.error.issues });
    return;
  }
  if (given.data.song !== undefined) {
    const song = await fetch(given.data.song, { method: "HEAD" });
    if (!song.ok) {
      response.status(400).json({ error: "the song is not there" });
      return;
    }
  }
  response.status(201).json(await add(given.data.name));
});
