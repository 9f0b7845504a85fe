import t from 'tap'
import { businessCases } from '../helpers/measure-business.ts'
import { measureLaws } from '../helpers/measure-laws.ts'
import { outcomeCases } from '../helpers/measure-outcomes.ts'
import { signalCases } from '../helpers/measure-signals.ts'

t.test('stores of measurements', async (t) => measureLaws(t))
t.test('outcomes', async (t) => outcomeCases(t))
t.test('signals of outcomes', async (t) => signalCases(t))
t.test('outcomes of the business', async (t) => businessCases(t))
