// JSON-RPC with the chat's host over postMessage: the only place that knows the wire.
const PROTOCOL = "2026-01-26";
const METHOD_NOT_FOUND = -32601;

const host = { capabilities: {}, context: {}, on: {} };
const waiting = new Map();
let lastId = 0;

function send(message) {
  // The host's origin cannot be known from inside the sandbox; nothing secret is sent.
  window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
}

function notify(method, params = {}) {
  send({ method, params });
}

function request(method, params = {}) {
  const id = ++lastId;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    send({ id, method, params });
  });
}

function settle(message) {
  const found = waiting.get(message.id);
  waiting.delete(message.id);
  if (!found) return;
  if (message.error) found.reject(new Error(message.error.message || "refused"));
  else found.resolve(message.result);
}

function answer(message) {
  const handler = host.on[message.method];
  if (message.id === undefined) {
    if (handler) handler(message.params || {});
  } else if (handler) {
    handler(message.params || {});
    send({ id: message.id, result: {} });
  } else {
    send({ id: message.id, error: { code: METHOD_NOT_FOUND, message: `no method ${message.method}` } });
  }
}

window.addEventListener("message", (event) => {
  const message = event.data;
  if (event.source !== window.parent || !message || message.jsonrpc !== "2.0") return;
  if (message.method) answer(message);
  else settle(message);
});

function callTool(name, args) {
  return request("tools/call", { name, arguments: args });
}

async function readResource(uri) {
  const { contents } = await request("resources/read", { uri });
  return contents[0];
}

async function initialize() {
  const told = await request("ui/initialize", {
    appInfo: { name: "comfyui-workbench", title: "ComfyUI Workbench", version: "1" },
    appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
    protocolVersion: PROTOCOL,
  });
  host.capabilities = told.hostCapabilities || {};
  host.context = told.hostContext || {};
}

function reportSize() {
  let last = 0;
  new ResizeObserver(() => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    if (height === last) return;
    last = height;
    notify("ui/notifications/size-changed", { height });
  }).observe(document.body);
}
