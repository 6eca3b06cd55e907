import { spawnSync } from 'node:child_process'
import { expect } from 'chai'
import { DOCUMENTED_PROXIES } from '../support/proxy-configs.js'
import { useScratch } from '../support/scratch.js'
import { TestAuthority } from '../support/test-authority.js'
import { freePort } from '../support/server-process.js'

describe('docs/reverse-proxies.md', () => {
  const scratch = useScratch()

  for (const { program, config, check } of DOCUMENTED_PROXIES) {
    it(`has what ${program} understands`, async function () {
      // By an absolute path for those that are not on the path of ordinary users.
      const env = { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin`, HOME: scratch.directory }
      if (spawnSync('sh', ['-c', `command -v ${program}`], { env }).status !== 0) return this.skip()
      const { certificate, privateKey } = new TestAuthority().issue(['matrix.example.org'])
      const file = scratch.write(
        'proxy.conf',
        config({
          clients: await freePort(),
          federation: await freePort(),
          server: await freePort(),
          certificate: scratch.write('certificate.pem', certificate),
          key: scratch.write('key.pem', privateKey),
          both: scratch.write('both.pem', certificate + privateKey),
          directory: scratch.directory,
        }),
      )
      const { status, stdout, stderr } = spawnSync(program, check(file), { env, encoding: 'utf8' })
      expect(status, stdout + stderr).to.equal(0)
    })
  }
})
