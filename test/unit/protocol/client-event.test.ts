import { expect } from 'chai'
import { clientEventJson } from '../../../src/protocol/client-event.js'
import { plainEvent, rulesOf } from '../../support/auth-room.js'

describe('clientEventJson', () => {
  const message = plainEvent(rulesOf('11'), {
    type: 'm.room.message',
    sender: '@alice:example.org',
    content: { body: 'hello' },
    originServerTs: 5,
    eventId: '$message:example.org',
  })

  it('has the keys that clients know, and no others', () => {
    expect(clientEventJson(message, { age: 1 })).to.deep.equal({
      type: 'm.room.message',
      sender: '@alice:example.org',
      content: { body: 'hello' },
      origin_server_ts: 5,
      event_id: '$message:example.org',
      room_id: '!room:example.org',
      unsigned: { age: 1 },
    })
  })

  it('leaves the room to the surroundings in a sync, and has a state key that is empty', () => {
    const name = plainEvent(rulesOf('11'), {
      type: 'm.room.name',
      sender: '@alice:example.org',
      stateKey: '',
    })
    const json = clientEventJson(name, {}, 'sync')
    expect(json).to.have.property('state_key', '')
    expect(json).to.not.have.property('room_id')
    expect(clientEventJson(message, {}, 'sync')).to.not.have.property('state_key')
  })

  for (const version of ['10', '11']) {
    it(`names what a redaction redacts in both places in room version ${version}`, () => {
      const redaction = plainEvent(rulesOf(version), {
        type: 'm.room.redaction',
        sender: '@alice:example.org',
        content: { reason: 'spam' },
        redacts: '$message:example.org',
      })
      const json = clientEventJson(redaction, {})
      expect(json).to.have.property('redacts', '$message:example.org')
      expect(json['content']).to.deep.equal({ reason: 'spam', redacts: '$message:example.org' })
      expect(redaction.content).to.have.property('reason', 'spam')
      if (version === '10') expect(redaction.content).to.not.have.property('redacts')
    })
  }

  it('is the whole event in the format of servers, but for what others have put under unsigned', () => {
    const json = clientEventJson(message, { age: 1 }, 'federation')
    expect(json).to.include.keys('depth', 'prev_events', 'auth_events', 'hashes', 'signatures', 'event_id')
    expect(json['unsigned']).to.deep.equal({ age: 1 })
  })
})
