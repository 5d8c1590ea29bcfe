import { createServer } from "node:http";

import { app } from "./app.js";
import { settings } from "./settings.js";

export const revision = "0";

const server = createServer(app);
server.listen(settings.port, () => console.log(`revision ${revision}, port ${settings.port}`));
process.on("SIGTERM", () => server.close());
