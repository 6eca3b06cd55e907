import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:fs'
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'

/** nginx, as the yardstick for downloads: serves the files that it is given. */
export interface Nginx extends AsyncDisposable {
  /** Gives the path under which the file is served. */
  serve(name: string, content: Uint8Array): Promise<string>
  readonly port: number
}

/** The program: what MXHS_BENCH_NGINX names, or one on the PATH or where systems put servers. */
async function findNginx(): Promise<string | undefined> {
  const named = process.env['MXHS_BENCH_NGINX']
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  const places = named === undefined ? directories.map((directory) => join(directory, 'nginx')) : [named]
  for (const place of places) {
    if (await isExecutable(place)) return place
  }
  return undefined
}

/** Starts nginx on a free port of this machine; undefined where there is none. */
export async function startNginx(): Promise<Nginx | undefined> {
  const program = await findNginx()
  if (program === undefined) return undefined
  const directory = await mkdtemp(join(tmpdir(), 'mxhs-bench-nginx-'))
  const port = await freePort()
  const config = join(directory, 'nginx.conf')
  await writeFile(config, configuration(directory, port))
  const child = spawn(program, ['-p', directory, '-c', config, '-e', join(directory, 'error.log')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  await answers(port, child, () => errors)
  return {
    port,
    async serve(name, content) {
      await writeFile(join(directory, name), content)
      return `/${name}`
    },
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
      await rm(directory, { recursive: true, force: true })
    },
  }
}

function configuration(directory: string, port: number): string {
  // Its workers must be able to read the directory, which is the user's own.
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${directory}/${name};`)
    .join('\n')
  return `${user}
daemon off;
worker_processes auto;
pid ${directory}/nginx.pid;
events { worker_connections 512; }
http {
  ${temporary}
  access_log off;
  sendfile on;
  tcp_nopush on;
  default_type application/octet-stream;
  server { listen 127.0.0.1:${port}; root ${directory}; }
}
`
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function answers(port: number, child: ChildProcess, errors: () => string): Promise<void> {
  const deadline = performance.now() + 10_000
  while (performance.now() < deadline && child.exitCode === null) {
    try {
      await fetch(`http://127.0.0.1:${port}/`)
      return
    } catch {
      await setTimeout(10)
    }
  }
  child.kill()
  throw new Error(`nginx does not answer: ${errors()}`)
}
