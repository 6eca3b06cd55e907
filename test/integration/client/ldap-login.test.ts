import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { UserId } from '../../../src/protocol/ids.js'
import { createLogger } from '../../../src/telemetry/logger.js'
import { createDeferred } from '../../../src/util/deferred.js'
import type { JsonObject } from '../../../src/util/json.js'
import {
  BIND_REQUEST,
  BIND_RESPONSE,
  EXTENDED_RESPONSE,
  FakeDirectory,
  SEARCH_REQUEST,
  message,
  result,
  type DirectoryEntry,
  type DirectoryOptions,
} from '../../support/fake-directory.js'
import {
  forEachServerDatabase,
  PASSWORD,
  startHomeserver,
  type TestHomeserver,
} from '../../support/homeserver.js'
import { ManualClock } from '../../support/manual-clock.js'
import type { ClientResponse } from '../../support/matrix-client.js'
import { TestAuthority } from '../../support/test-authority.js'

const LOGIN = '/_matrix/client/v3/login'
const BASE = 'ou=people,dc=example,dc=org'
const SERVICE = { dn: 'cn=mxhs,dc=example,dc=org', password: 'of the service', attributes: {} }
const ALICE: DirectoryEntry = {
  dn: `cn=Alice A,${BASE}`,
  password: 'of alice',
  attributes: { uid: 'alice', givenname: 'Alice A.', mail: 'Alice@example.org', objectclass: 'person' },
}
const BOB: DirectoryEntry = {
  dn: `uid=bob,${BASE}`,
  password: 'of bob',
  attributes: { uid: 'bob', givenname: ['Bob', 'Robert'], mail: [], objectclass: 'person' },
}
const ENTRIES = [SERVICE, ALICE, BOB]

function ldap(urls: string | readonly string[], more: JsonObject = {}): Record<string, unknown> {
  const config = {
    uri: urls,
    base: BASE,
    attributes: { uid: 'uid', name: 'givenName', mail: 'mail' },
    ...more,
  }
  return { modules: [{ module: 'ldap_auth_provider.LdapAuthProviderModule', config }] }
}

const SEARCH = { bind_dn: SERVICE.dn, bind_password: SERVICE.password }

function logIn(hs: TestHomeserver, user: string | JsonObject, password: string): Promise<ClientResponse> {
  const identifier = typeof user === 'string' ? { type: 'm.id.user', user } : user
  return hs.client().request('POST', LOGIN, { body: { type: 'm.login.password', identifier, password } })
}

async function outcome(hs: TestHomeserver, user: string | JsonObject, password: string): Promise<unknown> {
  const { status, body } = await logIn(hs, user, password)
  return status === 200 ? body['user_id'] : body['errcode']
}

/** Runs with a server and a directory, and with what is logged. */
async function withDirectory(
  options: Partial<DirectoryOptions>,
  config: JsonObject,
  story: (parts: { hs: TestHomeserver; directory: FakeDirectory; lines: string[] }) => Promise<void>,
): Promise<void> {
  await using directory = await FakeDirectory.start({ entries: ENTRIES, ...options })
  const lines: string[] = []
  const log = await createLogger({ level: 'debug', destination: { write: (line) => void lines.push(line) } })
  await using hs = await startHomeserver({ config: ldap(directory.url, config), log })
  await story({ hs, directory, lines })
  expect(lines.join('\n')).not.to.match(/of alice|of bob|of the service/)
}

forEachServerDatabase('passwords of a directory', (database) => {
  it('make an account first and open it later', async () => {
    await using directory = await FakeDirectory.start({ entries: ENTRIES, readers: [SERVICE.dn] })
    await using hs = await startHomeserver({ database, config: ldap(directory.url, SEARCH) })
    // Both at once: one of them makes the account.
    const both = await Promise.all([outcome(hs, 'alice', 'of alice'), outcome(hs, 'Alice', 'of alice')])
    expect(both).to.deep.equal(['@alice:hs.test', '@alice:hs.test'])
    expect(await outcome(hs, '@alice:hs.test', 'of alice')).to.equal('@alice:hs.test')
    const profile = await hs.client().must('GET', '/_matrix/client/v3/profile/@alice:hs.test')
    expect(profile['displayname']).to.equal('Alice A.')
    const { body } = await logIn(hs, 'alice', 'of alice')
    const session = { userId: '@alice:hs.test', deviceId: '', accessToken: body['access_token'] as string }
    const { threepids } = await hs
      .client()
      .withSession(session)
      .must('GET', '/_matrix/client/v3/account/3pid')
    expect(threepids).to.have.nested.property('[0].address', 'alice@example.org')
    expect(await outcome(hs, 'bob', 'of bob')).to.equal('@bob:hs.test')
    const bob = await hs.client().must('GET', '/_matrix/client/v3/profile/@bob:hs.test')
    expect(bob['displayname']).to.equal('bob')
  })
})

describe('passwords of a directory', () => {
  it('are asked for by a DN made of the name where nobody searches', async () => {
    await withDirectory({}, {}, async ({ hs, directory }) => {
      expect(await outcome(hs, 'bob', 'of bob')).to.equal('@bob:hs.test')
      const odd = 'x,dc=other+a="b\\c<>;= #'
      expect(await outcome(hs, odd, 'of bob')).to.equal('M_FORBIDDEN')
      expect(await outcome(hs, '#a ', 'of bob')).to.equal('M_FORBIDDEN')
      expect(directory.binds).to.deep.equal([
        `uid=bob,${BASE}`,
        `uid=x\\,dc\\=other\\+a\\=\\"b\\\\c\\<\\>\\;\\= #,${BASE}`,
        `uid=\\#a\\ ,${BASE}`,
      ])
    })
  })

  it('must be right, and be there', async () => {
    for (const config of [{}, SEARCH]) {
      await withDirectory({}, config, async ({ hs, directory }) => {
        for (const user of [
          'bob',
          '@bob:hs.test',
          'nobody',
          '@bob:other.test',
          '@bob',
          '',
          '@',
          '*',
          'bo*',
          'b)(uid=*',
        ])
          expect(await outcome(hs, user, 'wrong'), user).to.equal('M_FORBIDDEN')
        // Directories say yes to a name without a password.
        const before = directory.binds.length
        expect(await outcome(hs, 'bob', '')).to.equal('M_FORBIDDEN')
        expect(directory.binds).to.have.length(before)
        for (const user of ['@bob:other.test', '*', 'b)(uid=*', 'bob)(|(uid=*'])
          expect(await outcome(hs, user, 'of bob'), user).to.equal('M_FORBIDDEN')
        expect(await outcome(hs, 'bob', 'x'.repeat(600))).to.equal('M_FORBIDDEN')
      })
    }
  })

  it('come after those of this server, which the directory never sees', async () => {
    await withDirectory({}, SEARCH, async ({ hs, directory }) => {
      await hs.register('alice')
      expect(await outcome(hs, 'alice', PASSWORD)).to.equal('@alice:hs.test')
      expect(directory.binds).to.deep.equal([])
      expect(await outcome(hs, 'alice', 'of alice')).to.equal('@alice:hs.test')
      await hs.server.services.accountDeactivation.deactivate('@alice:hs.test' as UserId, { erase: false })
      expect(await outcome(hs, 'alice', 'of alice')).to.equal('M_USER_DEACTIVATED')
    })
  })

  it('belong to addresses, too, where the directory is searched', async () => {
    const byMail = { type: 'm.id.thirdparty', medium: 'email', address: 'ALICE@example.org' }
    await withDirectory({}, SEARCH, async ({ hs }) => {
      expect(await outcome(hs, byMail, 'wrong')).to.equal('M_FORBIDDEN')
      expect(await outcome(hs, byMail, 'of alice')).to.equal('@alice:hs.test')
      expect(await outcome(hs, { ...byMail, address: '*' }, 'of alice')).to.equal('M_FORBIDDEN')
      expect(await outcome(hs, { ...byMail, medium: 'msisdn', address: '1' }, 'of alice')).to.equal(
        'M_FORBIDDEN',
      )
    })
    await withDirectory({}, {}, async ({ hs }) => {
      expect(await outcome(hs, byMail, 'of alice')).to.equal('M_FORBIDDEN')
    })
  })

  it('confirm who somebody is, and make no account then', async () => {
    await withDirectory({}, { ...SEARCH, mode: 'search' }, async ({ hs }) => {
      const { body } = await logIn(hs, 'alice', 'of alice')
      const alice = hs.client().withSession({
        userId: '@alice:hs.test',
        deviceId: body['device_id'] as string,
        accessToken: body['access_token'] as string,
      })
      const other = (await logIn(hs, 'alice', 'of alice')).body['device_id'] as string
      const ask = (auth?: JsonObject) =>
        alice.request('POST', '/_matrix/client/v3/delete_devices', {
          body: { devices: [other], ...(auth && { auth }) },
        })
      const first = await ask()
      expect(first.body['flows']).to.deep.equal([{ stages: ['m.login.password'] }])
      const proof = (user: string, password: string) => ({
        type: 'm.login.password',
        session: first.body['session']!,
        identifier: { type: 'm.id.user', user },
        password,
      })
      expect((await ask(proof('alice', 'wrong'))).status).to.equal(401)
      expect((await ask(proof('bob', 'of bob'))).status).to.equal(401)
      expect((await hs.client().request('GET', '/_matrix/client/v3/profile/@bob:hs.test')).status).to.equal(
        404,
      )
      expect((await ask(proof('alice', 'of alice'))).status).to.equal(200)
    })
  })

  it('open nothing but the account of exactly that name', async () => {
    const accents = { compares: (a: string, b: string) => plain(a) === plain(b) }
    const plain = (text: string): string => text.normalize('NFD').replace(/\p{M}/gu, '').trim().toLowerCase()
    const impostor = {
      dn: `uid=impostor,${BASE}`,
      password: 'of bob',
      attributes: { uid: 'rööt', mail: 'x@y.z' },
    }
    await withDirectory({ entries: [SERVICE, impostor], ...accents }, SEARCH, async ({ hs, directory }) => {
      await hs.register('root')
      for (const user of ['root', 'ROOT ', 'root']) {
        expect(await outcome(hs, user, 'of bob'), user).to.equal('M_FORBIDDEN')
      }
      expect(directory.binds.filter((dn) => dn.includes('impostor'))).to.deep.equal([])
      // Found by its own name, it is none of an account.
      expect(await outcome(hs, 'rööt', 'of bob')).to.equal('M_FORBIDDEN')
    })
    const twins = [BOB, { ...BOB, dn: `uid=bob,ou=more,${BASE}` }]
    await withDirectory({ entries: [SERVICE, ...twins] }, SEARCH, async ({ hs }) => {
      expect(await outcome(hs, 'bob', 'of bob')).to.equal('M_FORBIDDEN')
    })
    const nameless = { ...BOB, dn: '' }
    await withDirectory({ entries: [nameless] }, { mode: 'search', base: ' ' }, async ({ hs }) => {
      expect(await outcome(hs, 'bob', 'of bob')).to.equal('M_FORBIDDEN')
    })
  })

  it('do not open what belongs to a bridge', async () => {
    await withDirectory({}, SEARCH, async ({ hs, lines }) => {
      const { accountRegistration } = hs.server.services
      await accountRegistration.registerDirectly({
        username: 'bob',
        password: undefined,
        appserviceId: 'bridge',
      })
      expect(await outcome(hs, 'bob', 'of bob')).to.equal('M_FORBIDDEN')
      expect(lines.join('\n')).to.include('the name is that of an account of no person')
    })
  })

  it('are looked for where the configuration says', async () => {
    const filter = '(objectClass=person)(!(uid=bob))'
    await withDirectory({ readers: [SERVICE.dn] }, { ...SEARCH, filter }, async ({ hs }) => {
      expect(await outcome(hs, 'alice', 'of alice')).to.equal('@alice:hs.test')
      expect(await outcome(hs, 'bob', 'of bob')).to.equal('M_FORBIDDEN')
    })
    const wrong = { ...SEARCH, bind_password: 'of nobody' }
    await withDirectory({ readers: [SERVICE.dn] }, wrong, async ({ hs, lines }) => {
      expect(await outcome(hs, 'alice', 'of alice')).to.equal('M_FORBIDDEN')
      expect(lines.join('\n')).to.include('the directory does not take bind_dn and bind_password')
    })
    await withDirectory({ readers: [SERVICE.dn] }, { mode: 'search' }, async ({ hs }) => {
      expect(await outcome(hs, 'alice', 'of alice')).to.equal('M_FORBIDDEN')
    })
  })

  it('belong to names of several domains', async () => {
    const person = (upn: string): DirectoryEntry => ({
      dn: `cn=${upn},${BASE}`,
      password: `of ${upn}`,
      attributes: { upn, mail: `${upn}.mail@example.org` },
    })
    const root = { dn: '', attributes: { rootdomainnamingcontext: 'DC=example,DC=org' } }
    const entries = [SERVICE, root, person('ann@main.example.org'), person('ann@sub.example.org')]
    const config = {
      ...SEARCH,
      active_directory: true,
      default_domain: 'main.example.org',
      attributes: { uid: 'upn', name: 'givenName', mail: 'mail' },
    }
    await withDirectory({ entries }, config, async ({ hs }) => {
      const names = {
        'main\\ann': '@ann:hs.test',
        'main.example.org\\Ann': '@ann:hs.test',
        'ann/main.example.org': '@ann:hs.test',
        ann: '@ann:hs.test',
      }
      for (const [user, userId] of Object.entries(names))
        expect(await outcome(hs, user, 'of ann@main.example.org'), user).to.equal(userId)
      for (const user of ['sub\\ann', 'ann/sub.example.org', '@ann/sub.example.org:hs.test'])
        expect(await outcome(hs, user, 'of ann@sub.example.org'), user).to.equal(
          '@ann/sub.example.org:hs.test',
        )
      const mail = {
        type: 'm.id.thirdparty',
        medium: 'email',
        address: 'ann@sub.example.org.mail@example.org',
      }
      expect(await outcome(hs, mail, 'of ann@sub.example.org')).to.equal('@ann/sub.example.org:hs.test')
      for (const user of ['ann@main.example.org/sub', 'ann@main.example.org', 'sub\\', '/', '\\'])
        expect(await outcome(hs, user, 'of ann@main.example.org'), user).to.equal('M_FORBIDDEN')
    })
  })
})

describe('a directory by TLS', () => {
  const authority = new TestAuthority()
  const certificate = authority.issue(['127.0.0.1'])
  const trusted = { ca_certs_data: authority.certificate, validate: true }

  it('is asked by TLS from the first byte, or after StartTLS', async () => {
    for (const options of [{ isTls: true }, {}]) {
      const tls = { ...SEARCH, start_tls: true, tls_options: trusted }
      await withDirectory({ certificate, ...options }, tls, async ({ hs, directory }) => {
        expect(await outcome(hs, 'alice', 'of alice')).to.equal('@alice:hs.test')
        expect(directory.binds).to.deep.equal([`(tls)${SERVICE.dn}`, `(tls)${ALICE.dn}`])
      })
    }
  })

  it('hears nothing before it has proven who it is', async () => {
    const others = new TestAuthority()
    const stranger = others.issue(['127.0.0.1'])
    const misnamed = authority.issue(['localhost'])
    const wrong: [Partial<DirectoryOptions>, JsonObject][] = [
      [{ certificate: stranger }, trusted],
      [{ certificate: misnamed }, trusted],
      [{ certificate }, { validate: true }],
      [{ certificate }, { ...trusted, valid_names: ['ldap.example.org'] }],
      // It has no TLS.
      [{}, trusted],
    ]
    for (const [options, tls_options] of wrong) {
      for (const isTls of [true, false]) {
        if (options.certificate === undefined && isTls) continue
        const config = { ...SEARCH, start_tls: true, tls_options }
        await withDirectory({ ...options, isTls }, config, async ({ hs, directory }) => {
          expect(await outcome(hs, 'alice', 'of alice')).to.equal('M_FORBIDDEN')
          expect(directory.binds).to.deep.equal([])
        })
      }
    }
    const named = { certificate: misnamed, isTls: true }
    for (const tls_options of [{ ...trusted, valid_names: ['a.test', 'localhost'] }, { validate: false }]) {
      await withDirectory(named, { ...SEARCH, tls_options }, async ({ hs }) => {
        expect(await outcome(hs, 'alice', 'of alice')).to.equal('@alice:hs.test')
      })
    }
  })

  it('is not taken for somebody on the way who speaks before TLS', async () => {
    // The last byte of a promise that is kept by the first one under TLS.
    const granted = result(1, EXTENDED_RESPONSE, 0)
    const begun = result(2, BIND_RESPONSE, 0, '0').subarray(0, -1)
    for (const injected of [begun, result(2, BIND_RESPONSE, 0)]) {
      const intrude = (operation: number) =>
        operation === 0x77 ? Buffer.concat([granted, injected]) : undefined
      const config = { start_tls: true, tls_options: trusted }
      await withDirectory({ certificate, intrude }, config, async ({ hs, lines }) => {
        expect(await outcome(hs, 'bob', 'whatever')).to.equal('M_FORBIDDEN')
        expect(lines.join('\n')).to.include('it has sent more before TLS than it may')
      })
    }
  })

  it('may want to see who asks', async () => {
    const files = mkdtempSync(join(tmpdir(), 'mxhs-ldap-'))
    try {
      const own = authority.issue(['hs.test'])
      writeFileSync(join(files, 'cert.pem'), own.certificate)
      writeFileSync(join(files, 'key.pem'), own.privateKey)
      const tls_options = {
        ...trusted,
        local_certificate_file: join(files, 'cert.pem'),
        local_private_key_file: join(files, 'key.pem'),
      }
      const clients = { authority: authority.certificate }
      await withDirectory(
        { certificate, isTls: true, clients },
        { ...SEARCH, tls_options },
        async ({ hs }) => {
          expect(await outcome(hs, 'alice', 'of alice')).to.equal('@alice:hs.test')
        },
      )
      await withDirectory(
        { certificate, isTls: true, clients },
        { ...SEARCH, tls_options: trusted },
        async ({ hs }) => {
          expect(await outcome(hs, 'alice', 'of alice')).to.equal('M_FORBIDDEN')
        },
      )
    } finally {
      rmSync(files, { recursive: true })
    }
  })
})

describe('a directory that does not behave', () => {
  const granted = (messageId: number): Buffer => result(messageId, BIND_RESPONSE, 0)

  it('lets nobody in', async () => {
    const answers: Record<string, (operation: number, messageId: number) => Buffer | undefined> = {
      'no LDAP': () => Buffer.from('HTTP/1.1 200 OK\r\n\r\n'),
      'an answer to another question': (_operation, messageId) => granted(messageId + 1),
      'another answer': (_operation, messageId) => result(messageId, EXTENDED_RESPONSE, 0),
      'no result': (_operation, messageId) => message(messageId, BIND_RESPONSE, () => undefined),
      'a result without end': () => Buffer.from([0x30, 0x80, 0, 0]),
      'far too much': () =>
        Buffer.concat([Buffer.from([0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]), Buffer.alloc(500_000)]),
      'many small messages': () => Buffer.concat(Array<Buffer>(20_000).fill(granted(99))),
      'a referral': (_operation, messageId) => result(messageId, BIND_RESPONSE, 10),
      'more to come': (_operation, messageId) => result(messageId, BIND_RESPONSE, 14),
      'broken entries': (operation, messageId) =>
        operation === SEARCH_REQUEST
          ? Buffer.concat([
              message(messageId, 0x64, (writer) => {
                writer.writeString(ALICE.dn)
                writer.startSequence()
                writer.writeByte(0x30)
                writer.writeByte(0x05)
                writer.endSequence()
              }),
              result(messageId, 0x65, 0),
            ])
          : undefined,
      'entries without end': (operation, messageId) =>
        operation === SEARCH_REQUEST
          ? Buffer.concat(
              Array<Buffer>(5_000).fill(message(messageId, 0x73, (writer) => writer.writeString('ldap://x'))),
            )
          : undefined,
      'an answer before the question': (operation, messageId) =>
        operation === BIND_REQUEST && messageId === 1
          ? Buffer.concat([granted(1), result(2, 0x65, 0), granted(3)])
          : undefined,
    }
    for (const config of [SEARCH, {}]) {
      let intrude: DirectoryOptions['intrude']
      const current: DirectoryOptions['intrude'] = (...asked) => intrude?.(...asked)
      await withDirectory({ intrude: current }, config, async ({ hs }) => {
        await hs.register('carol')
        for (const [what, answer] of Object.entries(answers)) {
          // Where nobody searches, nothing of a search can be wrong.
          if (config !== SEARCH && /entries|before/.test(what)) continue
          intrude = answer
          expect(await outcome(hs, 'alice', 'of alice'), what).to.equal('M_FORBIDDEN')
          expect(await outcome(hs, 'carol', PASSWORD), what).to.equal('@carol:hs.test')
        }
        intrude = undefined
        expect(await outcome(hs, 'bob', 'of bob')).to.equal('@bob:hs.test')
      })
    }
  })

  it('is waited for so long and no longer', async () => {
    const clock = new ManualClock()
    const heard = createDeferred()
    const intrude = (): Buffer => {
      heard.resolve()
      return Buffer.alloc(0)
    }
    await using directory = await FakeDirectory.start({ entries: ENTRIES, intrude })
    await using hs = await startHomeserver({ clock, config: ldap(directory.url, SEARCH) })
    await hs.register('carol')
    const waiting = outcome(hs, 'alice', 'of alice')
    await heard.promise
    // Meanwhile, others are let in.
    expect(await outcome(hs, 'carol', PASSWORD)).to.equal('@carol:hs.test')
    clock.advance(10_000)
    expect(await waiting).to.equal('M_FORBIDDEN')
  })

  it('is passed over for the next', async () => {
    await using directory = await FakeDirectory.start({ entries: ENTRIES })
    const gone = await FakeDirectory.start({ entries: [] })
    const { url } = gone
    await gone[Symbol.asyncDispose]()
    await using hs = await startHomeserver({ config: ldap([url, directory.url], SEARCH) })
    expect(await outcome(hs, 'alice', 'of alice')).to.equal('@alice:hs.test')
    const lines: string[] = []
    const log = await createLogger({ level: 'warn', destination: { write: (line) => void lines.push(line) } })
    await using none = await startHomeserver({ config: ldap([url, url], SEARCH), log })
    expect(await outcome(none, 'alice', 'of alice')).to.equal('M_FORBIDDEN')
    const refused = `${url}: connection refused: nothing listens there`
    expect(lines.join('')).to.include(`${refused}; ${refused}`)
  })
})
