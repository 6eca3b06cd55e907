import fc from 'fast-check'

/**
 * What random input the properties are tried with: the same in every run, so that a change fails for what it does itself.
 * A number tries others, and `random` always new ones, which is for looking for faults, not for judging changes.
 */
const SEED_VARIABLE = 'MXHS_TEST_SEED'
const USUAL_SEED = 20_260_101

const seed = process.env[SEED_VARIABLE] ?? String(USUAL_SEED)
if (seed !== 'random') fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(seed) })
