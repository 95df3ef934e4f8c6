"""The shop's calendar, stores and menu, and the names of its customers."""

from __future__ import annotations

from datetime import UTC, date, datetime

from include.raw_data.rows import Product, Store

OPENING = datetime(2026, 4, 1, tzinfo=UTC)
CLOSING = datetime(2026, 10, 1, tzinfo=UTC)  # the files hold the rows received before this moment

# How busy each day is, Monday to Sunday, relative to an average day.
BUSYNESS = (0.85, 0.9, 0.95, 1.0, 1.15, 1.3, 0.85)

STORES = [
    Store(1, "Philadelphia", date(2026, 4, 1), "0.0600", OPENING),
    Store(2, "Brooklyn", date(2026, 4, 1), "0.0400", OPENING),
    Store(3, "Chicago", date(2026, 4, 1), "0.0625", OPENING),
    Store(4, "San Francisco", date(2026, 4, 1), "0.0750", OPENING),
    Store(5, "", date(2026, 5, 4), "0.0800", datetime(2026, 5, 3, 16, tzinfo=UTC)),
    Store(6, "Los Angeles", date(2026, 7, 6), "0.0800", datetime(2026, 7, 5, 16, tzinfo=UTC)),
]

PRODUCTS = [
    Product(1, "Plain and simple", "jaffle", 600, OPENING),
    Product(2, "Three cheeses walk into a bar", "jaffle", 850, OPENING),
    Product(3, "Ham on the cob", "jaffle", 950, OPENING),
    Product(4, "Mushroom for improvement", "jaffle", 900, OPENING),
    Product(5, "The full toaster", "jaffle", 1250, OPENING),
    Product(6, "Bean there", "jaffle", 800, OPENING),
    Product(7, "Curry on regardless", "jaffle", 1050, OPENING),
    Product(8, "Apple of my pie", "jaffle", 700, OPENING),
    Product(9, "Banana split decision", "jaffle", 750, OPENING),
    Product(10, "Flat white", "beverage", 450, OPENING),
    Product(11, "Long black", "beverage", 400, OPENING),
    Product(12, "Iced tea", "beverage", 425, OPENING),
    Product(13, "Lemonade", "beverage", 400, OPENING),
    Product(14, "Hot chocolate", "beverage", 500, OPENING),
]

# How often each product is picked, relative to the others, in the order of the menu.
POPULARITY = (5, 9, 8, 5, 4, 4, 5, 3, 3, 12, 8, 6, 4, 3)

# One name per line would take ninety lines.
# fmt: off
FIRST_NAMES = (
    "Ada", "Amir", "Ana", "Ben", "Bianca", "Carlos", "Chloe", "Dana", "David", "Elena", "Emeka",
    "Fatima", "Felix", "Grace", "Hana", "Hugo", "Ines", "Ivan", "Jade", "James", "Kavya",
    "Kofi", "Lars", "Leila", "Lucia", "Marco", "Maya", "Mei", "Nadia", "Noah", "Olga", "Omar",
    "Priya", "Quinn", "Rosa", "Ruben", "Sara", "Sven", "Tara", "Theo", "Uma", "Victor", "Wanda",
    "Xavier", "Yara", "Zoe",
)

LAST_NAMES = (
    "Abe", "Adams", "Baker", "Bauer", "Brown", "Chen", "Costa", "Diaz", "Dubois", "Evans",
    "Fischer", "Garcia", "Gupta", "Haddad", "Hansen", "Ito", "Jansen", "Jones", "Kim",
    "Kowalski", "Kumar", "Lee", "Lopez", "Mbeki", "Meyer", "Moreau", "Nguyen", "Novak",
    "Okafor", "Olsen", "Park", "Patel", "Popov", "Reyes", "Rossi", "Sato", "Silva", "Singh",
    "Smith", "Tanaka", "Torres", "Usman", "Varga", "Weber", "Wong", "Yilmaz", "Young", "Zhang",
)
# fmt: on
