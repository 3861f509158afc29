"""Made-up pairs of lessons and rules: said twice in other words, and much alike but not the same.

With the first two lists the thresholds of `lint` were chosen; the last two were written afterwards and decided nothing.
"""

SAME = (
    (
        "Convert all lengths to one unit before you add them.",
        "Bring every length to the same unit before adding.",
    ),
    (
        "Read the question twice before you answer.",
        "Before answering, read the question a second time.",
    ),
    (
        "Count each kind of thing by itself, then add the counts.",
        "First count every kind separately and then sum the counts.",
    ),
    (
        "Check whether the year is a leap year before you count the days.",
        "Before counting days, find out if the year is a leap year.",
    ),
    (
        "Write the intermediate result down before the next step.",
        "Note each intermediate result before going on to the next step.",
    ),
    (
        "Do not mix up the radius and the diameter of a circle.",
        "Never confuse a circle's diameter with its radius.",
    ),
    (
        "Multiply the number of groups by the size of each group.",
        "The size of every group is multiplied by how many groups there are.",
    ),
    (
        "If a price is given per dozen, divide by twelve to get the price of one.",
        "When the price is for a dozen, the price of a single piece is a twelfth of it.",
    ),
    (
        "Follow the family line one person at a time.",
        "Trace the line of the family person by person.",
    ),
    (
        "Subtract the earlier date from the later one.",
        "Take the earlier date away from the later date.",
    ),
    (
        "Pay attention to whether the percentage is of the old or of the new price.",
        "Look whether the per cent refer to the new price or the old price.",
    ),
    (
        "A negative times a negative is positive.",
        "The product of two negative numbers is positive.",
    ),
    (
        "Round only at the end of the calculation.",
        "Do the rounding at the very end, not during the calculation.",
    ),
    (
        "Use the definition of the unit, not its name.",
        "Go by how the unit is defined and not by what it is called.",
    ),
    (
        "Name the person that the pronoun refers to before you go on.",
        "Before going on, say which person the pronoun stands for.",
    ),
    (
        "Compare fractions by bringing them to a common denominator.",
        "To compare fractions, give them the same denominator first.",
    ),
    (
        "Add the carried digit to the next column.",
        "The digit that is carried has to be added in the following column.",
    ),
    (
        "Cross out the options that are surely wrong.",
        "Eliminate the answer choices that are certainly false.",
    ),
    (
        "Look at the signs of both sides when you divide an inequality.",
        "When an inequality is divided, watch the sign of what you divide by.",
    ),
    (
        "State which calendar a date belongs to.",
        "Say in which calendar a date is given.",
    ),
)
DIFFERENT = (
    (
        "Convert all lengths to one unit before you add them.",
        "Convert all weights to one unit before you add them.",
    ),
    (
        "Read the question twice before you answer.",
        "Write the answer twice before you check it.",
    ),
    (
        "Check whether the year is a leap year before you count the days.",
        "Check which weekday the year begins with before you count the weeks.",
    ),
    (
        "Do not mix up the radius and the diameter of a circle.",
        "Do not mix up the area and the circumference of a circle.",
    ),
    (
        "Multiply the number of groups by the size of each group.",
        "Divide the number of things by the size of each group.",
    ),
    (
        "Follow the mother's line one person at a time.",
        "Follow the father's line one person at a time.",
    ),
    (
        "Subtract the earlier date from the later one.",
        "Subtract the smaller number from the larger one.",
    ),
    (
        "Round only at the end of the calculation.",
        "Simplify only at the end of the calculation.",
    ),
    (
        "Compare fractions by bringing them to a common denominator.",
        "Add fractions by bringing them to a common denominator.",
    ),
    (
        "Add the carried digit to the next column.",
        "Subtract the borrowed digit from the next column.",
    ),
    (
        "A negative times a negative is positive.",
        "A negative times a positive is negative.",
    ),
    (
        "Pay attention to whether the percentage is of the old or of the new price.",
        "Pay attention to whether the price is for one piece or for a dozen.",
    ),
    (
        "If a price is given per dozen, divide by twelve to get the price of one.",
        "If a price is given per piece, multiply by twelve to get the price of a dozen.",
    ),
    (
        "Use the definition of the unit, not its name.",
        "Use the name of the month, not its number.",
    ),
    (
        "If pounds are given, then multiply by twenty to get shillings.",
        "If shillings are given, then multiply by twelve to get pence.",
    ),
    (
        "If shillings are given, then divide by twenty to get pounds.",
        "If pence are given, then divide by twelve to get shillings.",
    ),
    (
        "If a fathom is asked for, then divide the feet by six.",
        "If a yard is asked for, then divide the feet by three.",
    ),
    (
        "State which calendar a date belongs to.",
        "State which unit a number belongs to.",
    ),
    (
        "Cross out the options that are surely wrong.",
        "Look at all options before you choose one.",
    ),
    (
        "Count each kind of thing by itself, then add the counts.",
        "Name each kind of thing before you compare them.",
    ),
)
SAME_LATER = (
    (
        "Look for the hidden step before you compute the answer.",
        "Before computing the answer, search for the step that is hidden.",
    ),
    (
        "If the hands of a clock are given, then work out the angle of each from twelve.",
        "Given the hands of a clock, find each one's angle measured from twelve.",
    ),
    (
        "Keep track of who is speaking in each sentence.",
        "In every sentence, note which person is the speaker.",
    ),
    (
        "Never count the starting day itself.",
        "The day on which you start is not to be counted.",
    ),
    (
        "Divide the total cost by the number of people who share it.",
        "The cost in total is split by how many persons share it.",
    ),
    (
        "List all cases before you choose one.",
        "Before choosing a case, write all of them down.",
    ),
    (
        "A prime number has exactly two divisors.",
        "Numbers with just two divisors are called prime.",
    ),
    (
        "If the train leaves late, then add the delay to the arrival time.",
        "When a train starts with a delay, its arrival is later by that delay.",
    ),
    (
        "Put the words in alphabetical order by their first letters, then by the second ones.",
        "Sort words by first letter, and where these are equal by the second letter.",
    ),
    (
        "Check your result by doing the inverse operation.",
        "Verify what you got with the opposite operation.",
    ),
    (
        "Use the speed in the same unit as the time.",
        "Speed and time must be in matching units.",
    ),
    (
        "The older coin is worth more than its face value.",
        "An old coin's worth is above what is printed on it.",
    ),
)
DIFFERENT_LATER = (
    (
        "Look for the hidden step before you compute the answer.",
        "Look for the simplest step before you check the answer.",
    ),
    (
        "If the hands of a clock are given, then work out the angle of each from twelve.",
        "If the sides of a triangle are given, then work out the angle between each of them.",
    ),
    (
        "Keep track of who is speaking in each sentence.",
        "Keep track of how many words are in each sentence.",
    ),
    (
        "Never count the starting day itself.",
        "Always count the last day as well.",
    ),
    (
        "Divide the total cost by the number of people who share it.",
        "Multiply the cost of one by the number of people who pay it.",
    ),
    (
        "List all cases before you choose one.",
        "Count all cases before you add them.",
    ),
    (
        "A prime number has exactly two divisors.",
        "A square number has an odd number of divisors.",
    ),
    (
        "If the train leaves late, then add the delay to the arrival time.",
        "If the train arrives early, then subtract the gain from the travel time.",
    ),
    (
        "Put the words in alphabetical order by their first letters, then by the second ones.",
        "Put the numbers in ascending order by their sizes, then by their signs.",
    ),
    (
        "Check your result by doing the inverse operation.",
        "Check your result by estimating its size.",
    ),
    (
        "Use the speed in the same unit as the time.",
        "Use the weight in the same unit as the price.",
    ),
    (
        "The older coin is worth more than its face value.",
        "The newer coin is worth exactly its face value.",
    ),
)
