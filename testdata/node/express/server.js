import express from "express";

const app = express();
app.get("/", (request, response) => response.send("hello from express"));
app.get("/env", (request, response) => response.json({ mode: process.env.NODE_ENV, pid: process.pid, user: process.getuid(), dir: process.cwd() }));
app.listen(process.env.PORT ?? 3000);
