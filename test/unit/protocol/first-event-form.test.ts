import { expect } from 'chai'
import { inFirstForm } from '../../../src/protocol/first-event-form.js'

describe('events as the first clients look at them', () => {
  it('have a user, and beside the rest what the server has added', () => {
    const unsigned = { age: 5, prev_content: { name: 'Old' }, transaction_id: 'T' }
    const event = { type: 'm.room.name', event_id: '$a', sender: '@alice:hs.test', content: {}, unsigned }
    expect(inFirstForm(event)).to.deep.equal({
      ...event,
      user_id: '@alice:hs.test',
      age: 5,
      prev_content: { name: 'Old' },
    })
    const bare = { type: 'a', event_id: '$a', sender: '@alice:hs.test', content: {} }
    expect(inFirstForm(bare)).to.deep.equal({ ...bare, user_id: '@alice:hs.test' })
  })

  it('are events of rooms alone', () => {
    for (const other of [
      { type: 'm.presence', sender: '@alice:hs.test', content: {} },
      { type: 'm.typing', content: { user_ids: [] }, room_id: '!a:hs.test' },
    ])
      expect(inFirstForm(other)).to.deep.equal(other)
  })
})
