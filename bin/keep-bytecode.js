// The end of a build, in a process of its own: starts the server that has been built, lets it answer once, and keeps the
// bytecode of what has run. `node keep-bytecode.js ROOT`
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { keepBytecode, loadCompiled } from './compiled.js'

const root = process.argv[2]
const file = join(root, 'dist/server.cjs')
const directory = mkdtempSync(join(tmpdir(), 'mxhs-build-'))
const socketPath = join(directory, 'socket')
try {
  const { exports, script } = loadCompiled(file)
  const paths = await configure()
  await exports.runServer(await exports.readCheckedConfig(paths), {
    paths,
    onStarted: () => void answerOnce().then(() => process.kill(process.pid, 'SIGTERM')),
    onStopping: () => keepBytecode(file, script),
  })
} finally {
  rmSync(directory, { recursive: true, force: true })
}

/** As most have it, but for the listener, which nobody else can reach. Gives the paths of the configuration. */
async function configure() {
  const { writeConfig } = await import(pathToFileURL(join(root, 'dist/src/config/generate.js')))
  await writeConfig(
    {
      serverName: 'localhost',
      reportStats: false,
      port: 8008,
      publicBaseUrl: 'http://localhost:8008/',
      database: { name: 'sqlite', path: join(directory, 'homeserver.db') },
    },
    directory,
  )
  const listener = { type: 'http', path: socketPath, resources: [{ names: ['client', 'federation'] }] }
  const listeners = join(directory, 'listeners.yaml')
  writeFileSync(listeners, JSON.stringify({ listeners: [listener] }))
  return [join(directory, 'homeserver.yaml'), listeners]
}

async function answerOnce() {
  const [response] = await once(get({ socketPath, path: '/_matrix/client/versions' }), 'response')
  await once(response.resume(), 'end')
}
