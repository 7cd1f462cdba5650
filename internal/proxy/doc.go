// Package proxy is the data plane of one machine: it routes requests to the
// active slot of each environment, swaps slots without losing a request,
// drains, holds, and counts. It runs in a worker process of its own, which is
// given listening sockets and a [Table] by its supervisor and goes on serving
// with its last table when the supervisor is gone.
//
// It knows addresses and generations. It refuses to know what runs behind
// them: it starts and stops nothing, judges nothing, and keeps nothing on disk.
package proxy
