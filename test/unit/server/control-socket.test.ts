import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { expect } from 'chai'
import { ControlClient } from '../../../src/cli/control-client.js'
import { MatrixError } from '../../../src/protocol/errors.js'
import { MAX_REQUEST_LENGTH } from '../../../src/server/control-connection.js'
import { ControlSocket, openControlSocket, type ControlMethods } from '../../../src/server/control-socket.js'
import { silentLogger } from '../../../src/telemetry/logger.js'
import { createDeferred } from '../../../src/util/deferred.js'
import { rejection } from '../../support/rejection.js'
import { useScratch } from '../../support/scratch.js'

const METHODS: ControlMethods = {
  echo: (params) => Promise.resolve(params),
  refuse: () => Promise.reject(new MatrixError('M_NOT_FOUND', 'No such user')),
  break: () => Promise.reject(new TypeError('details of ours')),
}

async function failure(promise: Promise<unknown>): Promise<Error> {
  return (await rejection(promise)) as Error
}

describe('ControlSocket', () => {
  const scratch = useScratch()
  const opened: { close(): unknown }[] = []
  afterEach(async () => {
    for (const part of opened.splice(0).reverse()) await part.close()
  })

  async function open(path = scratch.path('mxhs.sock')): Promise<ControlSocket> {
    const socket = await ControlSocket.open(path, silentLogger())
    opened.push(socket)
    return socket
  }

  async function client(path = scratch.path('mxhs.sock')): Promise<ControlClient> {
    const connected = await ControlClient.connect(path)
    if (connected === undefined) throw new Error('Nobody listens')
    opened.push(connected)
    return connected
  }

  /** What a server leaves that is killed: a socket without anybody behind it. */
  async function leaveStale(path = scratch.path('mxhs.sock')): Promise<void> {
    const server = createServer().listen(`${path}.was`)
    await once(server, 'listening')
    const { linkSync } = await import('node:fs')
    linkSync(`${path}.was`, path)
    server.close()
    await once(server, 'close')
    expect(existsSync(path)).to.equal(true)
  }

  async function raw(): Promise<Socket> {
    const socket = connect(scratch.path('mxhs.sock'))
    opened.push({ close: () => socket.destroy() })
    await once(socket, 'connect')
    return socket
  }

  it('answers requests, one after the other', async () => {
    ;(await open()).serve(METHODS)
    const caller = await client()
    const answers = await Promise.all([caller.call('echo', { a: 1 }), caller.call('echo', { a: 'zwölf' })])
    expect(answers).to.deep.equal([{ a: 1 }, { a: 'zwölf' }])
  })

  it('says why it refuses, and nothing of its own faults', async () => {
    ;(await open()).serve(METHODS)
    const caller = await client()
    expect(await failure(caller.call('refuse'))).to.include({
      code: 'M_NOT_FOUND',
      message: 'No such user',
    })
    expect(await failure(caller.call('break'))).to.include({ code: 'internal', message: 'Internal error' })
    expect(await failure(caller.call('toString'))).to.include({ code: 'unknown_method' })
  })

  it('answers what is no request, and ends a connection that sends too much', async () => {
    ;(await open()).serve(METHODS)
    const socket = await raw()
    const codes: unknown[] = []
    socket.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.trim().split('\n')) {
        codes.push((JSON.parse(line) as { error: { code: string } }).error.code)
      }
    })
    socket.write('nonsense\n[]\n{"method":1}\n{"method":"echo","params":[]}\n')
    socket.write('x'.repeat(MAX_REQUEST_LENGTH + 1))
    socket.on('error', () => undefined)
    await once(socket, 'close')
    expect(codes).to.deep.equal([...Array<string>(4).fill('bad_request'), 'too_large'])
  })

  it('tells a method when nobody waits for it any more', async () => {
    const begun = createDeferred<AbortSignal>()
    const ended = createDeferred<unknown>()
    ;(await open()).serve({
      wait: async (_params, { signal }) => {
        begun.resolve(signal)
        await once(signal, 'abort')
        ended.resolve(signal.reason)
        return null
      },
    })
    const caller = await client()
    const call = failure(caller.call('wait'))
    await begun.promise
    caller.close()
    expect(await ended.promise).to.be.instanceOf(Error)
    expect((await call).message).to.equal('The server has ended the connection')
  })

  it('says that the server starts or stops, and waits for what runs', async () => {
    const socket = await open()
    const caller = await client()
    expect(await failure(caller.call('echo'))).to.include({ code: 'starting' })
    const begun = createDeferred()
    const work = createDeferred()
    socket.serve({
      work: async () => {
        begun.resolve()
        await work.promise
        return 'done'
      },
    })
    const call = caller.call('work')
    await begun.promise
    socket.end()
    let isIdle = false
    const idle = socket.whenIdle().then(() => (isIdle = true))
    expect(await failure((await client()).call('work'))).to.include({ code: 'stopping' })
    expect(isIdle).to.equal(false)
    work.resolve()
    expect(await call).to.equal('done')
    await idle
  })

  it('is for its owner alone, and goes when it is closed', async () => {
    const socket = await open()
    expect(statSync(socket.path).mode & 0o777).to.equal(0o600)
    await socket.close()
    expect(readdirSync(scratch.directory)).to.deep.equal([])
    expect(await ControlClient.connect(socket.path)).to.equal(undefined)
  })

  it('is had by one server alone', async () => {
    await open()
    const error = await failure(open())
    expect(error.name).to.equal('ServerRunsError')
    expect(error.message).to.contain(`it answers at ${scratch.path('mxhs.sock')}`)
    expect(readdirSync(scratch.directory)).to.deep.equal(['mxhs.sock'])
  })

  it('replaces what a server has left that was killed', async () => {
    await leaveStale()
    expect(await ControlClient.connect(scratch.path('mxhs.sock'))).to.equal(undefined)
    ;(await open()).serve(METHODS)
    expect(await (await client()).call('echo', {})).to.deep.equal({})
    expect(readdirSync(scratch.directory)).to.deep.equal(['mxhs.sock'])
  })

  it('goes to one of several servers that start at once', async () => {
    await leaveStale()
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => open()))
    const winners = results.filter(({ status }) => status === 'fulfilled')
    expect(winners).to.have.length(1)
    expect(readdirSync(scratch.directory)).to.deep.equal(['mxhs.sock'])
  })

  it('leaves alone what is no socket', async () => {
    scratch.write('mxhs.sock', 'something')
    expect((await failure(open())).message).to.equal(`${scratch.path('mxhs.sock')} is no socket`)
    expect(existsSync(scratch.path('mxhs.sock'))).to.equal(true)
  })

  it('is reached below paths that are longer than the address of a socket', async function () {
    if (!existsSync('/proc/self/fd')) this.skip()
    const directory = scratch.path('d'.repeat(200))
    mkdirSync(directory)
    const path = `${directory}/mxhs.sock`
    await leaveStale(scratch.path('mxhs.sock'))
    const socket = await open(path)
    socket.serve(METHODS)
    expect(readdirSync(directory)).to.deep.equal(['mxhs.sock'])
    expect(await (await client(path)).call('echo', { far: true })).to.deep.equal({ far: true })
    expect((await failure(open(path))).name).to.equal('ServerRunsError')
    await socket.close()
    expect(readdirSync(directory)).to.deep.equal([])
  })

  it('is not made where everybody may put another in its place', async () => {
    chmodSync(scratch.directory, 0o777)
    const path = scratch.path('mxhs.sock')
    expect((await failure(open())).name).to.equal('UnsafeDirectoryError')
    expect(await ControlClient.connect(path)).to.equal(undefined)
    const place = { path, isChosen: false, makesDirectory: false }
    expect(await openControlSocket(place, silentLogger())).to.equal(undefined)
    expect((await failure(openControlSocket({ ...place, isChosen: true }, silentLogger()))).name).to.equal(
      'UnsafeDirectoryError',
    )
    chmodSync(scratch.directory, 0o700)
    await open()
    chmodSync(scratch.directory, 0o777)
    expect((await failure(ControlClient.connect(path))).message).to.contain('Everybody may write to')
  })
})
