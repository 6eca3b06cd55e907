import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { expect } from 'chai'
import { SourceSender } from '../../../src/http/source-sender.js'
import { JoinedSource, MemorySource, type ByteSource } from '../../../src/util/byte-source.js'

const MB = 1024 * 1024

/** A source that says whether it was closed, and how large the buffers were that it was read into. */
class WatchedSource implements ByteSource {
  readonly length: number
  readonly sizes: number[] = []
  isClosed = false
  readonly #inner: ByteSource

  constructor(inner: ByteSource, length = inner.length) {
    this.#inner = inner
    this.length = length
  }

  read(buffer: Buffer): Promise<number> {
    this.sizes.push(buffer.buffer.byteLength)
    return this.#inner.read(buffer)
  }

  close(): Promise<void> {
    this.isClosed = true
    return this.#inner.close()
  }
}

interface Run extends AsyncDisposable {
  readonly port: number
  /** Resolves when the sender is done with the request. */
  readonly done: Promise<void>
}

/** A server that sends one source to whoever asks. */
async function serve(source: ByteSource, sender = new SourceSender(() => performance.now())): Promise<Run> {
  let finish = (): void => undefined
  const done = new Promise<void>((resolve) => (finish = resolve))
  const server = createServer((_request, response: ServerResponse) => {
    response.setHeader('Content-Length', source.length)
    void sender.send(source, response).then(finish)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    done,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function fetchFrom({ port }: Run): Promise<Buffer> {
  const response = await fetch(`http://127.0.0.1:${port}/`)
  return Buffer.from(await response.arrayBuffer())
}

async function ask({ port }: Run): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write('GET / HTTP/1.1\r\nHost: test\r\n\r\n')
  return socket
}

describe('files on their way to clients', () => {
  it('arrive whole, in pieces of any size', async () => {
    for (const length of [0, 1, 32 * 1024, 32 * 1024 + 1, 600_000, 5 * MB + 17]) {
      const content = randomBytes(length)
      const source = new WatchedSource(new MemorySource(content))
      await using run = await serve(source)
      expect((await fetchFrom(run)).equals(content), String(length)).to.equal(true)
      await run.done
      expect(source.isClosed).to.equal(true)
    }
  })

  it('may be made of several', async () => {
    const content = randomBytes(2 * MB)
    const parts = [
      content.subarray(0, 3),
      content.subarray(3, 3),
      content.subarray(3, MB),
      content.subarray(MB),
    ]
    await using run = await serve(new JoinedSource(parts.map((part) => new MemorySource(part))))
    expect((await fetchFrom(run)).equals(content)).to.equal(true)
  })

  it('are read in large pieces for those who are quick, and in small ones for others', async () => {
    const quick = new WatchedSource(new MemorySource(randomBytes(4 * MB)))
    await using first = await serve(quick, new SourceSender(() => 0))
    await fetchFrom(first)
    expect([...new Set(quick.sizes)]).to.deep.equal([32 * 1024, 512 * 1024])

    let now = 0
    const slow = new WatchedSource(new MemorySource(randomBytes(4 * MB)))
    await using second = await serve(slow, new SourceSender(() => (now += 60_000)))
    await fetchFrom(second)
    expect([...new Set(slow.sizes)]).to.deep.equal([32 * 1024])
  })

  it('are read in small pieces again for those who become slow', async () => {
    let now = 0
    let step = 0
    const source = new WatchedSource(new MemorySource(randomBytes(8 * MB)))
    const sender = new SourceSender(() => {
      if (source.sizes.includes(512 * 1024)) step = 60_000
      return (now += step)
    })
    await using run = await serve(source, sender)
    await fetchFrom(run)
    expect(source.sizes).to.include(512 * 1024)
    expect(source.sizes.at(-1)).to.equal(32 * 1024)
  })

  it('are in memory for few clients in large pieces, however many there are', async () => {
    const sender = new SourceSender(() => 0)
    const sources = Array.from(
      { length: 20 },
      () => new WatchedSource(new MemorySource(Buffer.alloc(64 * MB))),
    )
    const runs = await Promise.all(sources.map((source) => serve(source, sender)))
    const sockets = await Promise.all(runs.map(ask))
    // Nobody reads on: each sender waits with what it has.
    for (const socket of sockets) socket.pause()
    const large = (): number => sources.filter(({ sizes }) => sizes.includes(512 * 1024)).length
    while (large() < 12 || sources.some(({ sizes }) => sizes.length < 2)) await setImmediate()
    expect(large()).to.equal(12)
    for (const socket of sockets) socket.destroy()
    await Promise.all(runs.map(({ done }) => done))
    await Promise.all(runs.map((run) => run[Symbol.asyncDispose]()))
  })

  it('are closed when the client goes away', async () => {
    const source = new WatchedSource(new MemorySource(Buffer.alloc(64 * MB)))
    await using run = await serve(source)
    const socket = await ask(run)
    await once(socket, 'data')
    socket.destroy()
    await run.done
    expect(source.isClosed).to.equal(true)
  })

  it('are cut off where they end early, since nobody may take them for whole', async () => {
    const source = new WatchedSource(new MemorySource(Buffer.alloc(100_000)), 200_000)
    await using run = await serve(source)
    const failed = await fetchFrom(run).then(
      () => false,
      () => true,
    )
    expect([failed, source.isClosed]).to.deep.equal([true, true])
  })
})
