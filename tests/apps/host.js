// A chat as small as it can be, made of the official parts: AppBridge towards the page, the MCP client towards the
// server. Bundled by esbuild; `window.chat` is what the tests drive.
import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

// What a host must use when the resource names no domains (MCP Apps, 2026-01-26).
const CSP = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
  "img-src 'self' data:; media-src 'self' data:; connect-src 'none'";

const seen = { calls: [], reads: [], context: [], sizes: [], errors: [] };

async function connected() {
  const client = new Client({ name: "test-chat", version: "1" }, {
    capabilities: { extensions: { "io.modelcontextprotocol/ui": { mimeTypes: ["text/html;profile=mcp-app"] } } },
  });
  await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", location.href)));
  return client;
}

function bridgeTo(client, options, tool) {
  const capabilities = { serverTools: {}, serverResources: {}, updateModelContext: { text: {} }, ...options.capabilities };
  const bridge = new AppBridge(null, { name: "test-chat", version: "1" }, capabilities, {
    hostContext: { toolInfo: { tool }, ...options.context },
  });
  bridge.oncalltool = async (params) => {
    seen.calls.push(params);
    const result = await client.callTool(params);
    return options.withoutMeta ? { ...result, _meta: undefined } : result;
  };
  bridge.onreadresource = async (params) => {
    seen.reads.push(params.uri);
    if (options.refuseResources) throw new Error("resources/read is not allowed");
    return client.readResource(params);
  };
  bridge.onupdatemodelcontext = async (params) => {
    seen.context.push(params.content[0].text);
    return {};
  };
  bridge.onerror = (error) => seen.errors.push(String(error));
  return bridge;
}

async function open(options) {
  const client = await connected();
  const { tools } = await client.listTools();
  const tool = tools.find((found) => found.name === options.tool);
  const { contents } = await client.readResource({ uri: tool._meta.ui.resourceUri });
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts");
  frame.style.cssText = "border: 0; width: 100%; height: 40px; display: block";
  document.body.append(frame);
  const bridge = bridgeTo(client, options, tool);
  bridge.onsizechange = ({ height }) => {
    seen.sizes.push(height);
    frame.style.height = `${height}px`;
  };
  const ready = new Promise((resolve) => { bridge.oninitialized = resolve; });
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  frame.srcdoc = contents[0].text.replace("<head>", `<head><meta http-equiv="Content-Security-Policy" content="${CSP}">`);
  await ready;
  window.chat.bridge = bridge;
  await bridge.sendToolInput({ arguments: options.arguments });
  if (options.cancel) await bridge.sendToolCancelled({ reason: "the person stopped it" });
  else await bridge.sendToolResult(options.result || await client.callTool({ name: options.tool, arguments: options.arguments }));
}

window.chat = { open, seen };
