import { expect } from 'chai'
import { LocalBus } from '../../../../src/services/streams/local-bus.js'

describe('LocalBus', () => {
  it('tells all who have subscribed, whatever the others do, until they end it', () => {
    const errors: unknown[] = []
    const heard: string[] = []
    const bus = new LocalBus((error) => errors.push(error))
    const failure = new Error('broken')
    bus.subscribe({
      onNewPosition: () => {
        throw failure
      },
    })
    const end = bus.subscribe({ onNewPosition: (stream) => heard.push(stream) })
    bus.onNewPosition('events', {})
    end()
    bus.onNewPosition('typing', {})
    expect(heard).to.deep.equal(['events'])
    expect(errors).to.deep.equal([failure, failure])
  })
})
