import { expect } from 'chai'
import type { ServerName } from '../../../../src/protocol/ids.js'
import { signJson, type JsonSigner } from '../../../../src/protocol/signed-json.js'
import { createSigner, makeSigningKey } from '../../../../src/protocol/signing-keys.js'
import type { KeyWish } from '../../../../src/services/remote/key-fetcher.js'
import { Keyring, SignatureError, type TrustedKey } from '../../../../src/services/remote/keyring.js'
import { ManualClock } from '../../../support/manual-clock.js'
import { rejection } from '../../../support/rejection.js'
import { rulesOf, signedEvent } from '../../../support/signed-events.js'

const TS = 1_700_000_000_000
const DAY_MS = 24 * 60 * 60_000

describe('Keyring', () => {
  const signers: Record<string, JsonSigner> = {}
  let keys: Map<ServerName, Map<string, TrustedKey>>
  let wishes: KeyWish[][]
  let clock: ManualClock
  let keyring: Keyring

  beforeEach(async () => {
    keys = new Map()
    wishes = []
    clock = new ManualClock(TS + DAY_MS)
    for (const [index, name] of ['a.test', 'b.test', 'c.test'].entries()) {
      const key = makeSigningKey(`k${index}`, Buffer.alloc(32, index + 1))
      signers[name] = createSigner(name as ServerName, key)
      const trusted = { key: key.key.verifyKey, validUntilTs: TS + 2 * DAY_MS }
      keys.set(name as ServerName, new Map([[key.keyId, trusted]]))
    }
    keyring = new Keyring({
      clock,
      keys: {
        getKeys: (wanted) => {
          wishes.push([...wanted])
          return Promise.resolve(keys)
        },
      },
    })
  })

  function setValidity(name: string, validUntilTs: number): void {
    for (const [keyId, { key }] of keys.get(name as ServerName)!) {
      keys.get(name as ServerName)!.set(keyId, { key, validUntilTs })
    }
  }

  const signer = (name: string): JsonSigner => signers[name]!

  describe('with events', () => {
    it('asks once for the keys of all, and gives those that fail', async () => {
      const good = signedEvent('10', { sender: '@x:a.test', depth: 2 }, [signer('a.test')])
      const unsigned = signedEvent('10', { sender: '@x:b.test', depth: 3 }, [signer('a.test')])
      const forged = signedEvent('10', { sender: '@x:a.test', depth: 4 }, [signer('a.test')])
      const wrong = { ...forged.json, signatures: good.json.signatures }
      const failing = signedEvent('10', { ...wrong, sender: '@x:a.test' }, [])
      const failures = await keyring.verifyEvents(rulesOf('10'), [good, unsigned, failing])
      expect([...failures]).to.deep.equal([
        [unsigned.eventId, 'b.test has not signed the event'],
        [failing.eventId, 'the signature of a.test with ed25519:k0 is wrong'],
      ])
      expect(wishes).to.have.length(1)
    })

    it('wants the signature of the server of the event ID in old room versions', async () => {
      const event = { sender: '@x:a.test', event_id: '$x:b.test' }
      const alone = signedEvent('2', event, [signer('a.test')])
      expect([...(await keyring.verifyEvents(rulesOf('2'), [alone])).values()]).to.deep.equal([
        'b.test has not signed the event',
      ])
      const both = signedEvent('2', event, [signer('a.test'), signer('b.test')])
      expect((await keyring.verifyEvents(rulesOf('2'), [both])).size).to.equal(0)
    })

    it('wants the signature of the server that lets somebody into a restricted room', async () => {
      const join = {
        type: 'm.room.member',
        sender: '@x:a.test',
        state_key: '@x:a.test',
        content: { membership: 'join', join_authorised_via_users_server: '@y:b.test' },
      }
      const alone = signedEvent('10', join, [signer('a.test')])
      expect((await keyring.verifyEvents(rulesOf('10'), [alone])).size).to.equal(1)
      const both = signedEvent('10', join, [signer('a.test'), signer('b.test')])
      expect((await keyring.verifyEvents(rulesOf('10'), [both])).size).to.equal(0)
      const before = signedEvent('7', join, [signer('a.test')])
      expect((await keyring.verifyEvents(rulesOf('7'), [before])).size).to.equal(0)
    })

    it('does not want that of the sender of an invitation by a third party', async () => {
      const invite = {
        type: 'm.room.member',
        sender: '@x:a.test',
        state_key: '@y:b.test',
        content: { membership: 'invite', third_party_invite: { signed: {} } },
      }
      const event = signedEvent('10', invite, [signer('b.test')])
      expect((await keyring.verifyEvents(rulesOf('10'), [event])).size).to.equal(0)
    })

    it('wants keys that were valid at the time, from room version 5 on', async () => {
      setValidity('a.test', TS - 1)
      const event = { sender: '@x:a.test', event_id: '$x:a.test', origin_server_ts: TS }
      for (const [version, failures] of [
        ['1', 0],
        ['4', 0],
        ['5', 1],
        ['12', 1],
      ] as const) {
        const signed = signedEvent(version, event, [signer('a.test')])
        const found = await keyring.verifyEvents(rulesOf(version), [signed])
        expect(found.size, version).to.equal(failures)
      }
      expect(wishes.map(([wish]) => wish?.validAtTs)).to.deep.equal([0, 0, TS, TS])
    })

    it('does not believe that keys are valid for more than a week from now', async () => {
      setValidity('a.test', Number.MAX_SAFE_INTEGER)
      for (const [days, failures] of [
        [7, 0],
        [9, 1],
      ] as const) {
        const event = { sender: '@x:a.test', origin_server_ts: TS + days * DAY_MS }
        const signed = signedEvent('10', event, [signer('a.test')])
        expect((await keyring.verifyEvents(rulesOf('10'), [signed])).size, `${days}`).to.equal(failures)
      }
    })

    it('is content with one good signature of several', async () => {
      const event = signedEvent('10', { sender: '@x:a.test' }, [signer('a.test')])
      const signatures = { 'a.test': { 'ed25519:old': 'AAAA', ...event.json.signatures['a.test'] } }
      const signed = signedEvent('10', { ...event.json, signatures }, [])
      expect((await keyring.verifyEvents(rulesOf('10'), [signed])).size).to.equal(0)
    })

    it('lets others have their turn while it prepares many', async () => {
      const events = Array.from({ length: 200 }, (_, depth) =>
        signedEvent('10', { sender: '@x:a.test', depth }, [signer('a.test')]),
      )
      let turns = 0
      const count = (): void => {
        turns++
        immediate = setImmediate(count)
      }
      let immediate = setImmediate(count)
      expect((await keyring.verifyEvents(rulesOf('10'), events)).size).to.equal(0)
      clearImmediate(immediate)
      expect(turns).to.be.above(2)
    })
  })

  it('verifies objects', async () => {
    const json = signJson({ a: 1 }, signer('a.test'))
    await keyring.verifyJson('a.test' as ServerName, json)
    for (const [name, object] of [
      ['b.test', json],
      ['a.test', { ...json, a: 2 }],
      ['a.test', { a: 1 }],
    ] as const) {
      expect(await rejection(keyring.verifyJson(name as ServerName, object))).to.be.instanceOf(SignatureError)
    }
  })

  it('verifies requests with keys that are valid now', async () => {
    const text = 'a request'
    const signatures = new Map([['ed25519:k0', signer('a.test').sign(text)]])
    await keyring.verifyRequest('a.test' as ServerName, text, signatures)
    setValidity('a.test', clock.now() - 1)
    const expired = keyring.verifyRequest('a.test' as ServerName, text, signatures)
    expect(await rejection(expired)).to.be.instanceOf(SignatureError)
    const unknown = keyring.verifyRequest('a.test' as ServerName, text, new Map([['ed25519:none', 'AAAA']]))
    expect(await rejection(unknown)).to.be.instanceOf(SignatureError)
  })
})
