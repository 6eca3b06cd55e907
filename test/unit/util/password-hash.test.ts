import { expect } from 'chai'
import { BcryptHasher } from '../../../src/util/password-hash.js'

const ROUNDS = 4

describe('util/password-hash', () => {
  const hasher = new BcryptHasher({ rounds: ROUNDS, pepper: 'pepper' })

  it('knows the right password', async () => {
    const hash = await hasher.hash('correct horse')
    expect(hash).to.match(/^\$2b\$04\$/)
    expect(await hasher.verify('correct horse', hash)).to.equal(true)
    expect(await hasher.verify('correct horse ', hash)).to.equal(false)
  })

  it('does not mind how letters are composed', async () => {
    const hash = await hasher.hash('cafe\u0301')
    expect(await hasher.verify('caf\u00e9', hash)).to.equal(true)
  })

  it('needs the pepper', async () => {
    const hash = await hasher.hash('correct horse')
    expect(await new BcryptHasher({ rounds: ROUNDS, pepper: '' }).verify('correct horse', hash)).to.equal(
      false,
    )
    expect(
      await new BcryptHasher({ rounds: ROUNDS, pepper: '' }).verify('correct horsepepper', hash),
    ).to.equal(true)
  })

  it('says no to what is no hash', async () => {
    expect(await hasher.verify('nothing', 'no hash at all')).to.equal(false)
    expect(await hasher.verify('nothing', '')).to.equal(false)
  })
})
