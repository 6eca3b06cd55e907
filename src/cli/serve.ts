// All that a running server consists of, in one module: the build makes one file of it and keeps its bytecode beside it,
// so that a start need not compile it (see bin/compiled.js).
export { readCheckedConfig } from './check-config.js'
export { runServer } from './run-server.js'
