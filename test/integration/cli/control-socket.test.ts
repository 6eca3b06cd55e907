import { existsSync } from 'node:fs'
import { expect } from 'chai'
import { stringify } from 'yaml'
import { withRunningServer } from '../../../src/cli/control-client.js'
import { loadConfig } from '../../../src/config/load.js'
import { rejection } from '../../support/rejection.js'
import { startConfigured } from '../../support/restored-server.js'
import { useScratch } from '../../support/scratch.js'

describe('the control socket of a server', function () {
  this.timeout(30_000)
  const scratch = useScratch()

  it('is beside its database while it runs, and keeps a second server away from that', async () => {
    const path = scratch.write(
      'homeserver.yaml',
      stringify({
        server_name: 'control.test',
        database: { name: 'sqlite3', args: { database: scratch.path('a.db') } },
        media_store_path: scratch.path('media'),
        signing_key: `ed25519 a_test ${'A'.repeat(43)}`,
        listeners: [],
        trusted_key_servers: [],
      }),
    )
    const { config } = await loadConfig([path])
    const ping = (): Promise<unknown> => withRunningServer(config, (client) => client.call('ping'))
    expect(await ping()).to.equal(undefined)

    const server = await startConfigured(path)
    try {
      expect(await ping()).to.deep.include({ pid: process.pid, serverName: 'control.test' })
      const error = (await rejection(startConfigured(path))) as Error
      expect(error.message).to.contain(
        `Another server runs with the same data: it answers at ${scratch.path('mxhs.sock')}`,
      )
      expect(await ping()).to.have.property('pid')
    } finally {
      await server.stop()
    }
    expect(existsSync(scratch.path('mxhs.sock'))).to.equal(false)
    expect(await ping()).to.equal(undefined)
    // It has gone for good: the next has it again.
    await (await startConfigured(path)).stop()
  })
})
