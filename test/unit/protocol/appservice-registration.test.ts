import { expect } from 'chai'
import {
  isInNamespace,
  isInterestedInUser,
  parseRegistration,
  registrationJson,
  reviewRegistration,
  type AppserviceRegistration,
} from '../../../src/protocol/appservice-registration.js'
import type { ServerName } from '../../../src/protocol/ids.js'
import type { JsonObject } from '../../../src/util/json.js'

const SERVER = 'hs.test' as ServerName
const BASE = { id: 'a', url: 'http://a/', as_token: 'x', hs_token: 'y', sender_localpart: 'bot' }

function parse(fields: JsonObject = {}): AppserviceRegistration {
  const parsed = parseRegistration({ ...BASE, ...fields }, SERVER)
  if ('problems' in parsed) throw new Error(parsed.problems.join('; '))
  return parsed.registration
}

describe('registrations of application services', () => {
  it('have defaults, and all names under which ephemeral data are wanted', () => {
    const plain = parse()
    expect(plain).to.include({
      url: 'http://a',
      senderId: '@bot:hs.test',
      isRateLimited: true,
      receivesEphemeral: false,
      receivesDeviceLists: false,
    })
    for (const key of ['receive_ephemeral', 'push_ephemeral', 'de.sorunome.msc2409.push_ephemeral']) {
      expect(parse({ [key]: true }).receivesEphemeral).to.equal(true)
    }
  })

  it('match IDs from their start, as other servers do', () => {
    const registration = parse({
      namespaces: {
        users: [{ regex: '@irc_', exclusive: true }],
        aliases: [{ regex: '(?i)#IRC_.*:hs\\.test$', exclusive: false }],
        rooms: [],
      },
    })
    expect(isInterestedInUser(registration, '@irc_x:hs.test')).to.equal(true)
    expect(isInterestedInUser(registration, '@x_@irc_:hs.test')).to.equal(false)
    expect(isInterestedInUser(registration, '@bot:hs.test')).to.equal(true)
    expect(isInNamespace(registration, 'aliases', '#irc_a:hs.test')).to.equal(true)
    expect(isInNamespace(registration, 'aliases', '#irc_a:hs.test', { exclusive: true })).to.equal(false)
  })

  it('leave users of other servers alone', () => {
    const registration = parse({ namespaces: { users: [{ regex: '.*', exclusive: false }] } })
    expect(isInterestedInUser(registration, '@a:hs.test')).to.equal(true)
    expect(isInterestedInUser(registration, '@a:other.test')).to.equal(false)
  })

  it('come out again as they went in', () => {
    const registration = parse({
      protocols: ['irc'],
      rate_limited: false,
      receive_ephemeral: true,
      namespaces: { users: [{ regex: '@a', exclusive: true }], aliases: [], rooms: [] },
    })
    expect(registrationJson(parse(registrationJson(registration)))).to.deep.equal(
      registrationJson(registration),
    )
  })

  it('name everything that is wrong with them', () => {
    const parsed = parseRegistration(
      { ...BASE, url: 'x', rate_limited: 'no', namespaces: { users: [{ regex: '(' }, { exclusive: true }] } },
      SERVER,
    )
    expect('problems' in parsed && parsed.problems).to.have.length(4)
    expect(parseRegistration('x', SERVER)).to.have.property('problems')
  })

  it('are remarked on where they can be used but hardly are meant so', () => {
    const registration = parse({ ...BASE, as_token: 'two words', hs_token: 'naïve', url: null })
    expect(reviewRegistration(registration)).to.deep.equal([
      'as_token has spaces or signs that no header can carry',
      'hs_token has spaces or signs that no header can carry',
      'Without a url the application service is sent nothing',
    ])
  })
})
