import type { NextFunction, Request, Response } from "express";
import { Histogram, collectDefaultMetrics, register } from "prom-client";

collectDefaultMetrics();

const duration = new Histogram({
  name: "http_request_duration_seconds",
  help: "How long requests took.",
  labelNames: ["method", "status"] as const,
});

export function observed(request: Request, response: Response, next: NextFunction): void {
  const stop = duration.startTimer({ method: request.method });
  response.on("finish", () => stop({ status: String(response.statusCode) }));
  next();
}

export async function metrics(_request: Request, response: Response): Promise<void> {
  response.type(register.contentType).send(await register.metrics());
}
