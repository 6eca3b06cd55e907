import { expect } from 'chai'
import { loadAuthorities } from '../../../src/config/authority-files.js'
import { ConfigError } from '../../../src/config/config-error.js'
import { rejection } from '../../support/rejection.js'
import { useScratch } from '../../support/scratch.js'
import { TestAuthority } from '../../support/test-authority.js'

describe('loadAuthorities', () => {
  const scratch = useScratch()

  it('reads every certificate of every file', async () => {
    const [first, second, third] = [new TestAuthority(), new TestAuthority(), new TestAuthority()].map(
      ({ certificate }) => certificate,
    ) as [string, string, string]
    const one = scratch.write('one.pem', `A comment\n${first}\nAnother\n${second}`)
    const two = scratch.write('two.pem', third)
    expect((await loadAuthorities([one, two])).map((text) => `${text}\n`)).to.deep.equal([
      first,
      second,
      third,
    ])
    expect(await loadAuthorities([])).to.deep.equal([])
  })

  it('says what is wrong with a file', async () => {
    const good = scratch.write('good.pem', new TestAuthority().certificate)
    for (const bad of [
      scratch.path('none.pem'),
      scratch.write('empty.pem', ''),
      scratch.write('broken.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'),
    ]) {
      const error = await rejection(loadAuthorities([good, bad]))
      expect(error).to.be.instanceOf(ConfigError)
      expect((error as ConfigError).issues[0]?.path).to.equal('federation_custom_ca_list[1]')
      expect((error as Error).message).to.contain(bad)
    }
  })
})
