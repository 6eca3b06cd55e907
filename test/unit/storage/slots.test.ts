import { expect } from 'chai'
import { Slots } from '../../../src/storage/slots.js'

describe('Slots', () => {
  it('lets as many in as there are places, the others in the order in which they came', async () => {
    const slots = new Slots(2)
    const entered: number[] = []
    const enter = async (n: number): Promise<() => void> => {
      const free = await slots.take()
      entered.push(n)
      return free
    }
    const [first] = await Promise.all([enter(1), enter(2)])
    const third = enter(3)
    const fourth = enter(4)
    await Promise.resolve()
    expect(entered).to.deep.equal([1, 2])
    first()
    ;(await third)()
    ;(await fourth)()
    expect(entered).to.deep.equal([1, 2, 3, 4])
  })
})
