import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'chai'
import { builtProgram } from '../../support/built-program.js'
import { controlSocketIn, writeCommandConfig } from '../../support/command-config.js'
import { expectCommandJson } from '../../support/command-schemas.js'
import { runProgram } from '../../support/commands.js'
import { startHomeserver, type TestHomeserver } from '../../support/homeserver.js'
import { useScratch } from '../../support/scratch.js'

describe('mxhs in a pipeline', function () {
  this.timeout(180_000)
  const scratch = useScratch()
  let server: TestHomeserver
  let config: string
  let room: string

  beforeEach(async () => {
    server = await startHomeserver({ config: controlSocketIn(scratch) })
    config = writeCommandConfig(scratch, server)
    const alice = await server.register('alice')
    room = await alice.createRoom({ name: 'Room' })
  })
  afterEach(() => server[Symbol.asyncDispose]())

  it('prints what the schema of a command says, and nothing else', async () => {
    // Of each topic one; what they share is what a process has beyond what commands are tested with by themselves.
    for (const words of [
      ['check-config', '--print-effective'],
      ['db', 'size'],
      ['keys', 'show'],
      ['media', 'usage'],
      ['rooms', 'show', room],
      ['users', 'show', 'alice'],
    ]) {
      const { exitCode, stdout, stderr } = await runProgram([...words, '-c', config, '--json'])
      expect(exitCode, `${words.join(' ')}: ${stderr}${stdout}`).to.equal(0)
      const isTopic = words[0] !== 'check-config'
      expectCommandJson(words.slice(0, isTopic ? 2 : 1).join('-'), stdout)
      expect(stdout.endsWith('\n')).to.equal(true)
    }
  })

  it('prints errors as JSON too, and says by its exit code whose fault it is', async () => {
    for (const [argv, expected] of [
      [['users', 'show', 'nobody', '-c', config, '--json'], 1],
      [['rooms', 'list', '--nosuch', '--json'], 2],
    ] as const) {
      const { exitCode, stdout } = await runProgram(argv)
      expect(exitCode, argv.join(' ')).to.equal(expected)
      expectCommandJson('error', stdout)
    }
    const plain = await runProgram(['rooms', 'list', '--nosuch'])
    expect([plain.exitCode, plain.stdout]).to.deep.equal([2, ''])
    expect(plain.stderr).to.match(/^error: Nonexistent flag: --nosuch/)
  })

  it('goes quietly when nobody reads on', async () => {
    const child = spawn(process.execPath, [builtProgram(), 'routes', '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
    child.stdout.once('data', () => child.stdout.destroy())
    await once(child, 'close')
    expect(stderr).to.equal('')
  })

  it('ends when it is interrupted', async () => {
    const argv = [builtProgram(), 'hash-password', '-c', config]
    const child = spawn(process.execPath, argv, { stdio: ['pipe', 'pipe', 'pipe'] })
    // It waits for a password on its standard input.
    const timer = setInterval(() => child.kill('SIGINT'), 200)
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    clearInterval(timer)
    expect([code === null || code === 130, signal === null || signal === 'SIGINT']).to.deep.equal([
      true,
      true,
    ])
  })
})
