import type { SampleRefusal } from '../model/event.ts'

/** What each reason to refuse a sample means. */
export const REFUSALS: Readonly<Record<SampleRefusal, string>> = {
  'unknown-signal': 'no signal has this name',
  'unknown-site': 'no document describes its site or pool',
  'not-a-number': 'its value or its time is no finite number',
  'out-of-range': 'its value is outside of the range of its signal',
  'in-the-future': 'it is from more than two seconds ahead',
  'out-of-order': 'it is older than one of the same source and place that came before',
  'not-by-model': 'it is of one model, and its signal has no values by model',
  'unknown-loop': 'its site has no coolant loop of this name',
  'not-a-link': 'its signal is one of a link and it does not say from where, or the other way round',
  'worked-out': 'its signal is worked out for each request',
  frozen:
    'bit for bit the same for as long as its signal allows while samples keep coming, and not the worst there is; refused until it moves',
  absurd:
    'further from the last one than its signal can move in the time; the third of three that agree with one another is taken',
}
