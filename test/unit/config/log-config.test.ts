import { expect } from 'chai'
import { ConfigError, formatNotice } from '../../../src/config/config-error.js'
import { loadLogConfig } from '../../../src/config/log-config.js'
import { rejection } from '../../support/rejection.js'
import { useScratch } from '../../support/scratch.js'

const PYTHON = `version: 1
formatters:
  precise: {format: '%(asctime)s - %(message)s'}
handlers:
  file:
    class: logging.handlers.TimedRotatingFileHandler
    formatter: precise
    filename: /var/log/homeserver.log
    when: midnight
  buffer:
    class: synapse.logging.handlers.PeriodicallyFlushingMemoryHandler
    target: file
  console:
    class: logging.StreamHandler
loggers:
  synapse.storage.SQL: {level: INFO}
root:
  level: WARNING
  handlers: [buffer, console]
disable_existing_loggers: false
`

describe('loadLogConfig', () => {
  const scratch = useScratch()

  it('logs to standard output without a file', async () => {
    expect((await loadLogConfig(undefined)).config).to.deep.equal({ level: 'info', file: undefined })
  })

  it('reads level and file', async () => {
    const path = scratch.write('log.yaml', 'level: debug\nfile: /var/log/mxhs.log\n')
    expect(await loadLogConfig(path)).to.deep.equal({
      config: { level: 'debug', file: '/var/log/mxhs.log' },
      warnings: [],
    })
  })

  it("reads Python's configuration: the root's level, and the file behind a buffer", async () => {
    const { config, warnings } = await loadLogConfig(scratch.write('log.config', PYTHON))
    expect(config).to.deep.equal({ level: 'warn', file: '/var/log/homeserver.log' })
    expect(warnings.map(formatNotice).join()).to.match(
      /log\.config:8:15: handlers\.file\.filename: .*logrotate/,
    )
  })

  it('logs to standard output where no handler of the root has a file', async () => {
    const { config } = await loadLogConfig(
      scratch.write('log.config', PYTHON.replace('[buffer, console]', '[console]')),
    )
    expect(config.file).to.equal(undefined)
  })

  it('says where it is wrong', async () => {
    const path = scratch.write('log.yaml', 'level: loud\nfiel: a\n')
    const error = (await rejection(loadLogConfig(path))) as ConfigError
    expect(error).to.be.instanceOf(ConfigError)
    expect(error.message)
      .to.contain(`${path}:1:8: level: expected debug`)
      .and.contain(`${path}:2:7: fiel: unknown key`)
    const python = scratch.write('log.config', PYTHON.replace('[buffer, console]', '[buffer, nowhere]'))
    expect(((await rejection(loadLogConfig(python))) as Error).message).to.contain(
      'handlers.nowhere: there is no such',
    )
  })

  it('says that the file is missing', async () => {
    const error = (await rejection(loadLogConfig(scratch.path('none')))) as Error
    expect(error).to.be.instanceOf(ConfigError)
    expect(error.message).to.match(/^log_config: .*none: ENOENT/)
  })
})
