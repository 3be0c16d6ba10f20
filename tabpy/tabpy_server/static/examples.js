/* Scripts to begin with. Each runs on any server: it needs no package but numpy and pandas. */

export const EXAMPLES = [
  {
    name: "A share, row by row",
    script: `# Profit as a share of sales, row by row
return [round(p / s, 3) for p, s in zip(_arg1, _arg2)]`,
    data: `Profit\tSales
41.9\t262.0
219.6\t731.9
-6.2\t14.6`,
  },
  {
    name: "A trend",
    script: `import numpy as np

# A straight line through the sales of a year
month, sales = np.array(_arg1), np.array(_arg2)
slope, start = np.polyfit(month, sales, 1)
return (start + slope * month).round(1).tolist()`,
    data: `Month\tSales
1\t118.2\n2\t132.5\n3\t129.1\n4\t148.9\n5\t141.3\n6\t163.7
7\t170.4\n8\t158.8\n9\t181.0\n10\t187.6\n11\t202.3\n12\t214.9`,
  },
  {
    name: "A rank in each group",
    script: `import pandas as pd

table = pd.DataFrame({"region": _arg1, "sales": _arg2})
rank = table.groupby("region")["sales"].rank(ascending=False)
return rank.astype(int).tolist()`,
    data: `Region\tSales
North\t1250\nNorth\t980\nSouth\t1430\nSouth\t640\nSouth\t2010\nWest\t770`,
  },
  {
    name: "Text in order",
    script: `# Names as people write them
return [" ".join(each.split()).title() if each else None for each in _arg1]`,
    data: `Customer\tOrders
 anna  SCHMIDT\t3
bob o'neil \t5
\t1`,
  },
  {
    name: "One value for all rows",
    script: `# Tableau uses it in each row
return sum(_arg1) / len(_arg1)`,
    data: '{"_arg1": [3, 5, 7, 9]}',
  },
  {
    name: "A mistake",
    script: `def share(profit, sales):
    print("sales:", sales)
    return profit / sales

return [share(p, s) for p, s in zip(_arg1, _arg2)]`,
    data: `Profit\tSales
41.9\t262.0
12.4\t0`,
  },
];
