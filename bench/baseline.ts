import { fork, type ChildProcess } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { BenchClient, Session } from './client.js'

/**
 * Requests a second that bare node:http answers to the same client, from so many senders: the yardstick that makes
 * figures of different machines comparable. The server is a process of its own and only reads the body and answers a
 * fixed one.
 */
export async function measureBareHttp(load: {
  senders: number
  messages: number
  costUs: number
}): Promise<number> {
  const { child, url } = await startBareServer()
  const client = new BenchClient(url, { sharedSecret: '', connections: load.senders, costUs: load.costUs })
  const session = new Session(client, '@sender:localhost', 'token')
  const perSender = Math.ceil(load.messages / load.senders)
  const run = (count: number): Promise<unknown> =>
    Promise.all(
      Array.from({ length: load.senders }, async () => {
        for (let message = 0; message < count; message++) {
          await session.send('!room', 'A message of a typical length, neither short nor long.')
        }
      }),
    )
  await run(Math.ceil(perSender / 5))
  const start = performance.now()
  await run(perSender)
  const rate = (perSender * load.senders) / ((performance.now() - start) / 1000)
  await client.close()
  child.kill()
  return rate
}

function startBareServer(): Promise<{ child: ChildProcess; url: string }> {
  const child = fork(fileURLToPath(import.meta.url), ['--serve'], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('message', (port) => resolve({ child, url: `http://127.0.0.1:${port as number}` }))
  })
}

if (process.argv[2] === '--serve') {
  const answer = JSON.stringify({ event_id: '$0123456789012345678901234567890123456789012' })
  const server = createServer((request, response) => {
    request.resume()
    request.once('end', () => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length })
      response.end(answer)
    })
  })
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
}
