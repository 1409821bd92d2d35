"""The server: the sync protocol of docs/protocol/sync.md, without a transport. HTTP and a pipe stand on `service`."""
