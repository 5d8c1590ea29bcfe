import compression from "compression";
import cors from "cors";
import express from "express";
import { rateLimit } from "express-rate-limit";
import helmet from "helmet";
import { pinoHttp } from "pino-http";

import { birds } from "./birds.js";
import { log } from "./log.js";
import { metrics, observed } from "./metrics.js";

export const app = express();
app.disable("x-powered-by");
app.use(helmet(), cors(), compression(), express.json({ limit: "100kb" }));
app.use(pinoHttp({ logger: log }));
app.use(rateLimit({ windowMs: 60_000, limit: 600 }));
app.use(observed);
app.get("/", (_request, response) => {
  response.send("hello from express");
});
app.get("/metrics", metrics);
app.use("/birds", birds);
