// One chat built with an official TypeScript client, told what to do in lines of JSON; `process.py` is the other end.
// Usage: node chat.mjs sdk|client FOLDER-OF-PACKAGES. `sdk` is the 1.x line, `client` the 2.x line.
import { createInterface } from "node:readline";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [line, packages] = process.argv.slice(2);
const load = (...path) => import(pathToFileURL(join(packages, "@modelcontextprotocol", ...path)).href);

const entries =
  line === "sdk"
    ? [["index.js"], ["streamableHttp.js"], ["stdio.js"]].map((path) => ["sdk", "dist", "esm", "client", ...path])
    : [["index.mjs"], ["index.mjs"], ["stdio.mjs"]].map((path) => ["client", "dist", ...path]);
const [{ Client }, { StreamableHTTPClientTransport }, { StdioClientTransport }] = await Promise.all(
  entries.map((path) => load(...path)),
);

const running = new Map();
let chat;

const actions = {
  async connect({ url, command, env, modern }) {
    const info = { name: "LibreChat", version: "1.0.0" };
    chat = new Client(info, line === "client" ? { versionNegotiation: { mode: modern ? "auto" : "legacy" } } : {});
    const transport = url
      ? new StreamableHTTPClientTransport(new URL(url))
      : new StdioClientTransport({ command: command[0], args: command.slice(1), env });
    chat.onerror = () => {}; // what matters fails the call
    await chat.connect(transport);
    return { version: chat.getNegotiatedProtocolVersion?.() };
  },

  async list() {
    return { tools: (await chat.listTools()).tools.map((tool) => tool.name) };
  },

  async call({ id, name, arguments: args, progress, timeout }) {
    const heard = [];
    const aborting = new AbortController();
    running.set(id, aborting);
    const options = { signal: aborting.signal, timeout: timeout === null ? 120_000 : timeout * 1000 };
    if (progress) options.onprogress = (told) => heard.push(told.progress);
    const params = { name, arguments: args };
    const result = await (line === "sdk" ? chat.callTool(params, undefined, options) : chat.callTool(params, options));
    return { content: result.content, error: result.isError ?? false, progress: heard };
  },

  async abandon({ call }) {
    running.get(call)?.abort("the person pressed stop");
    return {};
  },

  async leave() {
    await chat.close();
    return {};
  },
};

const say = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");
createInterface({ input: process.stdin })
  .on("line", async (text) => {
    const order = JSON.parse(text);
    try {
      say({ id: order.id, ...(await actions[order.do](order)) });
    } catch (failure) {
      say({ id: order.id, failed: String(failure) });
    }
  })
  .on("close", () => process.exit(0));
