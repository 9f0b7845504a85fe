/**
 * Regions by country (ISO 3166-1). The lines follow the United Nations' M49 areas: EMEA is Europe, Africa and Western
 * Asia, with Iran; AMER the Americas; APAC the rest of Asia, and Oceania. MEA, where sites may say so, is no region of
 * its own here: whoever divides the world otherwise lists countries in a FactSources document.
 */
const COUNTRIES = {
  EMEA: [
    'AD AL AT AX BA BE BG BY CH CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT NL NO',
    'PL PT RO RS RU SE SI SJ SK SM UA VA XK',
    'AE AM AZ BH CY GE IL IQ IR JO KW LB OM PS QA SA SY TR YE',
    'AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW IO KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG',
    'RE RW SC SD SH SL SN SO SS ST SZ TD TF TG TN TZ UG YT ZA ZM ZW',
  ],
  AMER: [
    'AG AI AR AW BB BL BM BO BQ BR BS BV BZ CA CL CO CR CU CW DM DO EC FK GD GF GL GP GS GT GY HN HT JM KN KY LC MF MQ MS',
    'MX NI PA PE PM PR PY SR SV SX TC TT US UY VC VE VG VI',
  ],
  APAC: [
    'AF BD BN BT CN HK ID IN JP KG KH KP KR KZ LA LK MM MN MO MV MY NP PH PK SG TH TJ TL TM TW UZ VN',
    'AS AU CC CK CX FJ FM GU HM KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TO TV UM VU WF WS',
  ],
} as const satisfies Record<string, readonly string[]>

const REGION_OF: ReadonlyMap<string, string> = new Map(
  Object.entries(COUNTRIES).flatMap(([region, lines]) =>
    lines.flatMap((line) => line.split(' ').map((country) => [country, region] as const)),
  ),
)

/** The region of a country: EMEA, AMER or APAC; undefined for what is no country. */
export const regionOf = (country: string): string | undefined => REGION_OF.get(country)

/** Every country that has a region. */
export const COUNTRIES_KNOWN: readonly string[] = [...REGION_OF.keys()]
