import { expect } from 'chai'
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLogger } from '../../../src/telemetry/logger.js'
import { requestContext, withRequestContext } from '../../../src/telemetry/request-context.js'

describe('logger', () => {
  function collect(): { lines: Record<string, unknown>[]; destination: { write(line: string): void } } {
    const lines: Record<string, unknown>[] = []
    return {
      lines,
      destination: { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) },
    }
  }

  it('adds the running request to every line, across what it awaits', async () => {
    const { lines, destination } = collect()
    const { logger } = await createLogger({ level: 'info', destination })
    await withRequestContext({ requestId: 'GET-1' }, async () => {
      await Promise.resolve()
      logger.info({ path: '/a' }, 'in')
      requestContext()!.requester = '@a:b'
      logger.child({ part: 'sync' }).warn('known')
    })
    logger.info('out')
    logger.debug('not at this level')
    expect(lines.map(({ time: _, ...line }) => line)).to.deep.equal([
      { level: 'info', request: 'GET-1', path: '/a', msg: 'in' },
      { level: 'warn', part: 'sync', request: 'GET-1', requester: '@a:b', msg: 'known' },
      { level: 'info', msg: 'out' },
    ])
  })

  it('leaves out secrets that are logged by mistake', async () => {
    const { lines, destination } = collect()
    const { logger } = await createLogger({ level: 'info', destination })
    const body = { password: 'y', a: 1 }
    logger.info({ access_token: 'x', body }, 'm')
    logger.warn({ err: Object.assign(new Error('refused'), { password: 'z', code: 'E' }) }, 'failed')
    expect(JSON.stringify(lines)).not.to.match(/access_token|password/)
    expect(lines[0]).to.deep.include({ msg: 'm', body: { a: 1 } })
    expect(lines[1]!['err']).to.include({ message: 'refused', code: 'E', type: 'Error' })
    expect(body).to.have.property('password')
  })

  it('refuses a file that it cannot write', async () => {
    const failed = await createLogger({ level: 'info', file: '/dev/null/server.log' }).catch(() => 'failed')
    expect(failed).to.equal('failed')
  })

  it('opens its file anew when told to', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mxhs-log-'))
    try {
      const file = join(folder, 'deep', 'server.log')
      const output = await createLogger({ level: 'info', file })
      output.logger.info('before')
      output.flush()
      renameSync(file, `${file}.1`)
      await output.reopen()
      output.logger.info('after')
      output.flush()
      expect(readFileSync(`${file}.1`, 'utf8'))
        .to.include('before')
        .and.not.include('after')
      expect(readFileSync(file, 'utf8')).to.include('after').and.not.include('before')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
