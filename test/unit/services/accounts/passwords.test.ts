import { expect } from 'chai'
import { Passwords, type PasswordPolicy } from '../../../../src/services/accounts/passwords.js'
import { rejection } from '../../../support/rejection.js'

const POLICY: PasswordPolicy = {
  enabled: true,
  minimumLength: 8,
  requireDigit: true,
  requireSymbol: true,
  requireLowercase: true,
  requireUppercase: true,
}

describe('passwords', () => {
  const plain = {
    hash: (password: string) => Promise.resolve(password),
    verify: (password: string, hash: string) => Promise.resolve(password === hash),
  }

  it('must be as the policy says', () => {
    const passwords = new Passwords(plain, { policy: POLICY, concurrency: 1 })
    for (const password of ['Ab1!', 'Abcdefg!', 'Abcdefg1', 'ABCDEFG1!', 'abcdefg1!']) {
      expect(() => {
        passwords.checkNew(password)
      }, password)
        .to.throw()
        .with.property('errcode', 'M_WEAK_PASSWORD')
    }
    passwords.checkNew('Abcdef1!')
  })

  it('must not be empty or endless, whatever the policy', async () => {
    const passwords = new Passwords(plain, { policy: { ...POLICY, enabled: false }, concurrency: 1 })
    for (const password of ['', 'x'.repeat(513)]) {
      expect(() => {
        passwords.checkNew(password)
      })
        .to.throw()
        .with.property('errcode', 'M_INVALID_PARAM')
    }
    expect(await passwords.verify('x'.repeat(513), 'x'.repeat(513))).to.equal(false)
  })

  it('are compared with something where there is nothing to compare with', async () => {
    const compared: string[] = []
    const hasher = {
      hash: (password: string) => Promise.resolve(password),
      verify: (password: string, hash: string) => {
        compared.push(hash)
        return Promise.resolve(password === hash)
      },
    }
    const passwords = new Passwords(hasher, { policy: POLICY, concurrency: 1 })
    expect(await passwords.verify('secret', undefined)).to.equal(false)
    const decoy = compared[0] ?? ''
    expect(await passwords.verify(decoy, undefined)).to.equal(false)
    expect(compared).to.deep.equal([decoy, decoy])
    expect(await passwords.verify('secret', 'secret')).to.equal(true)
  })

  it('are hashed a few at a time, and refused when too many wait', async () => {
    let running = 0
    let most = 0
    const release: (() => void)[] = []
    const hasher = {
      ...plain,
      hash: async (password: string) => {
        running += 1
        most = Math.max(most, running)
        await new Promise<void>((resolve) => release.push(resolve))
        running -= 1
        return password
      },
    }
    const passwords = new Passwords(hasher, { policy: POLICY, concurrency: 2 })
    const hashes = Array.from({ length: 102 }, () => passwords.hash('x'))
    expect(await rejection(passwords.hash('x'))).to.have.property('errcode', 'M_LIMIT_EXCEEDED')
    for (let finished = 0; finished < hashes.length;) {
      const batch = release.splice(0)
      batch.forEach((resolve) => {
        resolve()
      })
      finished += batch.length
      await new Promise((resolve) => setImmediate(resolve))
    }
    await Promise.all(hashes)
    expect(most).to.equal(2)
  })

  it('leaves the next ones alone when a hash fails', async () => {
    let fails = true
    const hasher = {
      ...plain,
      hash: (password: string) =>
        fails ? Promise.reject(new Error('no memory')) : Promise.resolve(password),
    }
    const passwords = new Passwords(hasher, { policy: POLICY, concurrency: 1 })
    expect(await rejection(passwords.verify('x', undefined))).to.have.property('message', 'no memory')
    fails = false
    expect(await passwords.verify('x', undefined)).to.equal(false)
  })
})
