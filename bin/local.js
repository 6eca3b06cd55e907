// `npm start`: a server for this machine, from a fresh checkout on. Builds what has changed, writes a configuration for
// `localhost` into ./data if there is none, and starts it on port 8008.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

const root = dirname(import.meta.dirname)
const SOURCES = ['src', 'commands', 'migrations', 'package.json', 'bin/build.js']
/** The last thing that a build writes. */
const BUILT = join(root, 'oclif.manifest.json')

const dataDir = join(process.cwd(), 'data')
const config = join(dataDir, 'homeserver.yaml')

if (!isBuilt()) build()
if (!existsSync(config)) await configure()
process.argv = [process.execPath, join(root, 'bin/run.js'), 'start', '-c', relative(process.cwd(), config)]
await import('./run.js')

function isBuilt() {
  const builtAt = statSync(BUILT, { throwIfNoEntry: false })?.mtimeMs
  return builtAt !== undefined && SOURCES.every((source) => newest(join(root, source)) <= builtAt)
}

function newest(path) {
  const stats = statSync(path)
  if (!stats.isDirectory()) return stats.mtimeMs
  return Math.max(stats.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))))
}

function build() {
  process.stderr.write('Building...\n')
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) process.exit(1)
}

async function configure() {
  const { writeConfig } = await import('../dist/src/config/generate.js')
  await writeConfig(
    {
      serverName: 'localhost',
      reportStats: false,
      port: 8008,
      publicBaseUrl: 'http://localhost:8008/',
      database: { name: 'sqlite', path: join(dataDir, 'homeserver.db') },
    },
    dataDir,
  )
  process.stderr.write(`Wrote a configuration for localhost into ${dataDir}\n`)
}
