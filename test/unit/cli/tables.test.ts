import { expect } from 'chai'
import { formatTable } from '../../../src/cli/tables.js'

describe('formatTable', () => {
  it('aligns columns, without lines, colours or spaces at the end', () => {
    const table = formatTable(
      ['A', 'NAME'],
      [
        ['1', 'short'],
        ['23456', 'x'],
        ['7', ''],
      ],
    )
    expect(table).to.equal('A      NAME\n1      short\n23456  x\n7')
  })

  it('aligns letters that are two columns wide', () => {
    expect(formatTable(['A', 'B'], [['日本', 'x']])).to.equal('A     B\n日本  x')
  })
})
