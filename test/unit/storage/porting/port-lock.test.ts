import { expect } from 'chai'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { lockTarget, type PortLock } from '../../../../src/storage/porting/port-lock.js'
import { packageRoot } from '../../../../src/util/package-root.js'
import { createTestDatabase, startPostgres, type TestDatabase } from '../../../support/databases.js'
import { port } from '../../../support/porting.js'
import { rejection } from '../../../support/rejection.js'
import { untilAsync } from '../../../support/sdk-clients.js'

const MODULE = '/src/storage/porting/port-lock.ts'

for (const kind of ['sqlite', 'postgres'] as const) {
  describe(`the lock of a target of porting (${kind})`, function () {
    this.timeout(60_000)
    let target: TestDatabase

    before(async () => {
      await startPostgres()
      target = await createTestDatabase(kind)
    })
    after(() => target.remove())

    it('is held by one at a time', async () => {
      const { config } = target
      const lock = await lockTarget(config)
      const error = await rejection(lockTarget(config))
      expect(error).to.include({ name: 'PortRefusal' })
      expect(error).to.have.property('message').that.includes('Another process is filling the target')
      await lock.release()
      await (await lockTarget(config)).release()
      if (config.name === 'sqlite') expect(existsSync(`${config.path}-porting`)).to.equal(false)
    })

    it('keeps a second pass from beginning', async () => {
      const source = await createTestDatabase(kind === 'sqlite' ? 'postgres' : 'sqlite')
      const lock = await lockTarget(target.config)
      expect(await rejection(port(source.config, target.config))).to.include({ name: 'PortRefusal' })
      await lock.release()
      expect(await port(source.config, target.config)).to.include({ complete: true })
      await source.remove()
    })

    it('ends with the process that holds it, in whatever way that ends', async () => {
      const script =
        `import { lockTarget } from ${JSON.stringify(packageRoot() + MODULE)}\n` +
        `await lockTarget(${JSON.stringify(target.config)})\n` +
        "process.stdout.write('locked')\nsetInterval(() => {}, 1000)"
      const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await once(child.stdout, 'data')
      expect(await rejection(lockTarget(target.config))).to.include({ name: 'PortRefusal' })
      child.kill('SIGKILL')
      await once(child, 'close')
      let lock: PortLock | undefined
      // A server learns a moment later that its client is gone.
      await untilAsync(async () => {
        lock = await lockTarget(target.config).catch(() => undefined)
        return lock !== undefined
      })
      await lock?.release()
    })
  })
}
