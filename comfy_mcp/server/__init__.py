"""The MCP server and its transports: `protocol`, `sessions`, `stdio`. Used by the proxy and the command line."""
